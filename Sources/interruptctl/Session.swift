import InterruptCore
import InterruptRedis

/// What a command needs to talk to one namespace of one Redis.
struct Session: Sendable {
    let endpoint: RedisEndpoint
    let keys: RedisKeys
    let client: InterruptClient
    /// What the client sends over.
    let connection: ControlConnection
    let signingKey: SigningKey?
    /// How long connecting took: it counts towards the time of an answer.
    let connectTime: Duration
    /// Where the embedded server would be, when no URL was given.
    let embeddedSocket: String?

    /// Resolves the settings and connects.
    static func open(_ options: ConnectionOptions) async throws(CommandFailure) -> Session {
        try await open(options.settings)
    }

    static func open(_ settings: EndpointSettings) async throws(CommandFailure) -> Session {
        let endpoint: RedisEndpoint
        let keys: RedisKeys
        let signingKey: SigningKey?
        do throws(SettingsError) {
            keys = try settings.keys()
            endpoint = try settings.endpoint()
            signingKey = try settings.signingKey()
        } catch {
            throw CommandFailure(error)
        }
        var embeddedSocket: String?
        if settings.usesEmbeddedServer, case .unix(let path) = endpoint.address { embeddedSocket = path }
        let connection = ControlConnection(endpoint: endpoint)
        let start = ContinuousClock.now
        do throws(RedisError) {
            try await connection.connect()
        } catch {
            throw CommandFailure(asking: error, embeddedSocket: embeddedSocket)
        }
        return Session(
            endpoint: endpoint,
            keys: keys,
            client: InterruptClient(commands: connection, keys: keys, signingKey: signingKey),
            connection: connection,
            signingKey: signingKey,
            connectTime: start.duration(to: .now),
            embeddedSocket: embeddedSocket
        )
    }

    /// A second connection, for what blocks or must not wait behind others. It is made by its first command.
    func anotherClient(commandTimeout: Duration = .seconds(2)) -> InterruptClient {
        let configuration = RedisConnectionConfiguration(commandTimeout: commandTimeout)
        return InterruptClient(
            commands: ControlConnection(endpoint: endpoint, configuration: configuration),
            keys: keys,
            signingKey: signingKey
        )
    }

    /// Runs a question to Redis and turns its failure into the command's.
    func asking<R>(
        _ question: () async throws(RedisError) -> sending R
    ) async throws(CommandFailure) -> sending R {
        do throws(RedisError) {
            return try await question()
        } catch {
            throw CommandFailure(asking: error, embeddedSocket: embeddedSocket)
        }
    }
}
