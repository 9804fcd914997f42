import InterruptCore
import InterruptRedis

/// One connection for one command of the program. Lost, it is made anew by the next call; what was lost is not repeated.
actor ControlConnection: RedisCommands {
    private let endpoint: RedisEndpoint
    private let configuration: RedisConnectionConfiguration
    private var current: RedisConnection?

    init(endpoint: RedisEndpoint, configuration: RedisConnectionConfiguration = RedisConnectionConfiguration()) {
        self.endpoint = endpoint
        self.configuration = configuration
    }

    /// Makes the connection if there is none.
    func connect() async throws(RedisError) { _ = try await connection() }

    private func connection() async throws(RedisError) -> RedisConnection {
        if let current { return current }
        let new = try await RedisConnection.connect(to: endpoint, configuration: configuration)
        // While this one was made, another call may have made one.
        if let current {
            new.close()
            return current
        }
        current = new
        return new
    }

    func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RESPValue] {
        let connection = try await connection()
        do throws(RedisError) {
            return try await connection.send(commands, timeout: nil)
        } catch {
            drop(connection, after: error)
            throw error
        }
    }

    func evaluate(
        _ script: RedisScript,
        keys: [String],
        arguments: [RedisArgument]
    ) async throws(RedisError) -> RESPValue {
        let connection = try await connection()
        do throws(RedisError) {
            return try await connection.evaluate(script, keys: keys, arguments: arguments, timeout: nil)
        } catch {
            drop(connection, after: error)
            throw error
        }
    }

    private func drop(_ connection: RedisConnection, after error: RedisError) {
        switch error.code {
        // The server answered: the connection is good.
        case .reply, .notPermitted, .authenticationFailed: break
        default:
            connection.close()
            if current === connection { current = nil }
        }
    }
}
