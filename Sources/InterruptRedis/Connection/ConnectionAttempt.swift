import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// One attempt to make a connection, all of it within the connect timeout: name, socket, TLS, greeting.
struct ConnectionAttempt {
    let endpoint: RedisEndpoint
    let name: String?
    let configuration: RedisConnectionConfiguration
    let group: any EventLoopGroup
    var isMasterNeeded = false

    /// A connection on which the server has accepted user and database, and what else it has answered. The endpoint's
    /// address is a server's.
    func run() async throws(RedisError) -> (ConnectionLink, Greeting.Answer) {
        if Task.isCancelled { throw failure(.cancelled, "the task was cancelled") }
        let deadline = ContinuousClock.now + configuration.connectTimeout
        let link: ConnectionLink
        do {
            link = try await connect()
        } catch {
            let code: RedisError.Code = FailureText.isAboutSettings(error) ? .wrongSettings : .cannotConnect
            throw failure(code, FailureText.sentence(for: error), underlying: error)
        }
        do throws(RedisError) {
            let left = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
            return (link, try await greet(link, within: left))
        } catch {
            link.close(error)
            throw error
        }
    }

    private func connect() async throws -> ConnectionLink {
        let tls = try tlsContext()
        let configuration = configuration
        let hostname = hostNameForTLS
        let bootstrap = ClientBootstrap(group: group).connectTimeout(TimeAmount(configuration.connectTimeout))
        let initialize: @Sendable (any Channel) -> EventLoopFuture<ConnectionLink> = { channel in
            channel.eventLoop.makeCompletedFuture {
                if let tls {
                    let handler = try NIOSSLClientHandler(context: tls, serverHostname: hostname)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
                return try ConnectionLink(addingTo: channel, configuration: configuration)
            }
        }
        switch endpoint.address {
        case .unix(let path):
            return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initialize)
        case .sentinels: preconditionFailure("ServerSearch asks the sentinels")
        case .tcp(let host, let port):
            return try await bootstrap.channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 15)
                .channelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 5)
                .channelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
                .connect(host: host, port: port, channelInitializer: initialize)
        }
    }

    private func tlsContext() throws -> NIOSSLContext? {
        guard endpoint.speaksTLS else { return nil }
        for path in endpoint.tls?.paths ?? [] where access(path, R_OK) != 0 {
            throw TLSFileError.unreadable(path: path, code: errno)
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        if let path = endpoint.tls?.certificateAuthority { tls.trustRoots = .file(path) }
        if let path = endpoint.tls?.certificate {
            tls.certificateChain = try NIOSSLCertificate.fromPEMFile(path).map { .certificate($0) }
        }
        if let path = endpoint.tls?.key { tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: path, format: .pem)) }
        do {
            return try NIOSSLContext(configuration: tls)
        } catch NIOSSLError.failedToLoadPrivateKey {
            throw TLSFileError.keyOfAnotherCertificate  // the key itself was read above
        }
    }

    /// The name the certificate must have. An IP address is checked against the address that is connected.
    private var hostNameForTLS: String? {
        guard case .tcp(let host, _) = endpoint.address, (try? SocketAddress(ipAddress: host, port: 0)) == nil else {
            return nil
        }
        return host
    }

    /// Says who we are and asks where we are, in one pipelined write.
    private func greet(_ link: ConnectionLink, within limit: Duration) async throws(RedisError) -> Greeting.Answer {
        let greeting = Greeting(
            endpoint: endpoint,
            name: name,
            isNumbered: configuration.isNumbered,
            isMasterNeeded: isMasterNeeded
        )
        switch await link.send(greeting.commands, timeout: limit) {
        case .success(let replies): return try greeting.answer(replies)
        case .failure(let error): throw greetingFailure(error)
        }
    }

    private static let tooManyClients = "max number of clients reached"

    private func greetingFailure(_ error: RedisError) -> RedisError {
        switch error.code {
        case .notARedisServer, .cancelled, .closed: failure(error.code, error.message, underlying: error.underlying)
        // It says so before anything was asked, and hangs up.
        case .connectionLost where error.message.contains(Self.tooManyClients):
            failure(.cannotConnect, Self.tooManyClients)
        case .timedOut where endpoint.speaksTLS:
            failure(.cannotConnect, "no answer in time: does the server speak TLS? If not, use redis://")
        case .timedOut: failure(.cannotConnect, "no answer in time: is it a Redis server, and is it running?")
        case .connectionLost where endpoint.mayLackTLS && error.message.contains("without a word"):
            failure(.notARedisServer, "\(error.message): does it expect TLS (rediss://)?")
        case .connectionLost where error.underlying.map(FailureText.isAboutSettings) ?? false:
            failure(.wrongSettings, error.message, underlying: error.underlying)
        default:
            // A server that is asked for TLS without having it hangs up, or says so in plain text.
            if error.message.contains("does not speak TLS") {
                failure(.notARedisServer, error.message, underlying: error.underlying)
            } else {
                failure(.cannotConnect, error.message, underlying: error.underlying)
            }
        }
    }

    private func failure(
        _ code: RedisError.Code,
        _ why: String,
        underlying: (any Error)? = nil
    ) -> RedisError {
        endpoint.connectionFailure(code, why, underlying: underlying)
    }
}

extension RedisEndpoint {
    /// The error for a connection that cannot be made here.
    func connectionFailure(
        _ code: RedisError.Code,
        _ why: String,
        underlying: (any Error)? = nil,
        reply: RedisError? = nil
    ) -> RedisError {
        RedisError(
            code,
            "cannot connect to \(self): \(why)",
            underlying: underlying ?? reply,
            replyPrefix: reply?.replyPrefix
        )
    }
}
