public import InterruptRedis
import NIOCore
import NIOPosix
import Synchronization

/// Stands in front of a server and does to its connections what networks do: cuts, delays, trickles, silence, resets,
/// messages that come twice. ``withFaultProxy(to:listensOnTCP:seed:_:)`` makes it.
///
/// What is wrong is said by ``rules``, which may be set at any time and hold for all connections, also those that run.
public final class FaultProxy: Sendable {
    /// Where the proxy listens.
    public let endpoint: RedisEndpoint

    private let upstream: RedisEndpoint.Address
    private let loop: any EventLoop
    private let current = Mutex(FaultRules())
    private let connections: NIOLoopBound<Connections>
    private let listener = Mutex<(any Channel)?>(nil)

    /// What stays on the event loop.
    private final class Connections {
        var random: SeededRandom
        var relays: [ObjectIdentifier: FaultRelay] = [:]
        var accepted = 0

        init(seed: UInt64) { random = SeededRandom(seed: seed) }
    }

    fileprivate init(to endpoint: RedisEndpoint, at address: RedisEndpoint.Address, seed: UInt64) async throws {
        var own = endpoint
        own.address = address
        self.endpoint = own
        upstream = endpoint.address
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        self.loop = loop
        connections = try await loop.submit { NIOLoopBound(Connections(seed: seed), eventLoop: loop) }.get()
    }

    // MARK: What is wrong

    /// What holds now. Setting it acts at once, also on what waits in the proxy.
    public var rules: FaultRules {
        get { current.withLock { $0 } }
        set {
            current.withLock { $0 = newValue }
            loop.execute { for relay in self.connections.value.relays.values { relay.rulesChanged() } }
        }
    }

    /// Ends every connection that there is; new ones may be made. Returns at once.
    public func cut(_ ending: FaultRules.Ending = .close) {
        loop.execute { for relay in self.connections.value.relays.values { relay.end(ending) } }
    }

    /// Lets nobody connect any more ("connection refused"); connections that there are stay. Returns when that is so.
    /// Idempotent.
    public func refuseConnections() async throws {
        let channel = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        try await channel?.close()
    }

    /// Lets everybody connect again. Idempotent.
    public func acceptConnections() async throws {
        if listener.withLock({ $0 != nil }) { return }
        try await listen()
    }

    /// How many connections there are now.
    public var connectionCount: Int {
        get async throws { try await loop.submit { self.connections.value.relays.count }.get() }
    }

    /// How many connections were accepted in all.
    public var acceptedCount: Int {
        get async throws { try await loop.submit { self.connections.value.accepted }.get() }
    }

    // MARK: Connections

    fileprivate func listen() async throws {
        let bootstrap = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { self.accept($0) }
        let channel =
            switch endpoint.address {
            case .unix(let path):
                try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            case .tcp(let host, let port): try await bootstrap.bind(host: host, port: port).get()
            case .sentinels: preconditionFailure("a proxy stands in front of one server")
            }
        listener.withLock { $0 = channel }
    }

    /// On the event loop, which is that of all channels.
    private func accept(_ client: any Channel) -> EventLoopFuture<Void> {
        let connections = connections.value
        let id = ObjectIdentifier(client)
        let relay = FaultRelay(
            client: client,
            rules: { self.rules },
            random: { Double.random(in: 0..<1, using: &connections.random) },
            ended: { connections.relays[id] = nil }
        )
        connections.relays[id] = relay
        connections.accepted += 1
        let bound = NIOLoopBound(relay, eventLoop: loop)
        connect(bound).whenComplete { result in
            switch result {
            case .success(let server): bound.value.connected(to: server)
            case .failure: bound.value.end(.close)  // the server is not there, which its client sees by that
            }
        }
        return client.eventLoop.makeCompletedFuture {
            try client.pipeline.syncOperations.addHandler(FaultRelayHandler(relay: relay, isClient: true))
        }
    }

    private func connect(_ relay: NIOLoopBound<FaultRelay>) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: loop).channelInitializer { server in
            server.eventLoop.makeCompletedFuture {
                let handler = FaultRelayHandler(relay: relay.value, isClient: false)
                try server.pipeline.syncOperations.addHandler(handler)
            }
        }
        return switch upstream {
        case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
        case .sentinels: preconditionFailure("a proxy stands in front of one server")
        }
    }

    fileprivate func end() async {
        try? await refuseConnections()  // closed already, which is as well
        cut()
    }
}

/// Runs `body` with a proxy in front of a server; ends it and its connections afterwards, also when `body` throws.
///
/// - `listensOnTCP`: on a free port of 127.0.0.1, for resets; otherwise on a Unix socket.
/// - `seed`: what is random in the proxy is the same each time with the same seed.
public func withFaultProxy<R>(
    to endpoint: RedisEndpoint,
    listensOnTCP: Bool = false,
    seed: UInt64 = 0,
    _ body: (FaultProxy) async throws -> R
) async throws -> R {
    try await withTemporaryDirectory { directory in
        let address: RedisEndpoint.Address =
            listensOnTCP
            ? .tcp(host: "127.0.0.1", port: try freeLoopbackPort()) : .unix(path: "\(directory)/proxy.sock")
        let proxy = try await FaultProxy(to: endpoint, at: address, seed: seed)
        try await proxy.listen()
        do {
            let result = try await body(proxy)
            await proxy.end()
            return result
        } catch {
            await proxy.end()
            throw error
        }
    }
}
