import FoundationEssentials
public import InterruptRedis

/// A primary, a replica and three sentinels that watch them for the length of a test. ``withSentinels(speakTLS:password:_:)`` makes them.
public struct TestSentinels: Sendable {
    /// The name of the master.
    public static let name = "main"

    /// The two servers. The first one is the master at the start.
    public let servers: [LoopbackServer]
    /// Who watches them.
    public let sentinels: [LoopbackServer]
    /// With which all of them speak TLS, if they do.
    public let certificates: RedisCertificates?
    /// A file with the password that the sentinels ask for, if they do. The servers ask for nothing.
    public let passwordFile: String?

    /// Whoever is the master, found by the sentinels.
    public var endpoint: RedisEndpoint {
        let sentinels = RedisSentinels(sentinels.map(\.node), master: Self.name, passwordFile: passwordFile)
        return RedisEndpoint(address: .sentinels(sentinels), tls: certificates?.clientFiles)
    }

    /// The same as a URL.
    public var url: String { endpoint.description }

    /// From now on a primary counts as dead when it has been silent for half a second.
    public func watchClosely() async throws {
        for sentinel in sentinels {
            try await sentinel.command("SENTINEL", "SET", Self.name, "down-after-milliseconds", "500")
        }
    }

    /// Waits until this server says that it is the master, and returns when that was.
    @discardableResult
    public func promotion(of server: LoopbackServer) async throws -> ContinuousClock.Instant {
        try await eventually("the server on port \(server.port) is promoted") {
            // A sentinel that promotes a server has it close all connections.
            (try? await server.command("ROLE"))?.array?.first?.text == "master"
        }
        return .now
    }

    /// Promotes the replica and demotes the primary, and leaves every connection to both as it is: unlike a fail-over by the
    /// sentinels, which are only told of it. Returns when the promotion was.
    public func swap() async throws -> ContinuousClock.Instant {
        for sentinel in sentinels { try await sentinel.command("SENTINEL", "REMOVE", Self.name) }
        try await servers[1].command("REPLICAOF", "NO", "ONE")
        let promotion = ContinuousClock.now
        try await servers[0].command("REPLICAOF", "127.0.0.1", "\(servers[1].port)")
        for sentinel in sentinels {
            try await sentinel.command("SENTINEL", "MONITOR", Self.name, "127.0.0.1", "\(servers[1].port)", "2")
        }
        return promotion
    }

    /// Waits until the sentinels know each other and the replica, so that they can agree on a fail-over.
    func waitUntilAgreed() async throws {
        for sentinel in sentinels {
            try await eventually("the sentinel on port \(sentinel.port) knows all others") {
                let fields = try await sentinel.command("SENTINEL", "MASTER", Self.name).array?.compactMap(\.text) ?? []
                let pairs = stride(from: 0, to: fields.count - 1, by: 2).map { (fields[$0], fields[$0 + 1]) }
                let values = Dictionary(pairs) { first, _ in first }
                return values["num-slaves"] == "1" && values["num-other-sentinels"] == "2"
                    && values["flags"] == "master"
            }
        }
    }
}

/// Runs `body` with a primary, a replica and three sentinels. They take a primary for dead when it was silent for ten
/// seconds, which no busy machine makes it; ``TestSentinels/watchClosely()`` makes that less. All are ended afterwards.
///
/// - `speakTLS`: to each other and to their clients, with certificates that are made for it.
/// - `password`: what the sentinels ask for.
public func withSentinels<R>(
    speakTLS: Bool = false,
    password: String? = nil,
    _ body: (TestSentinels) async throws -> R
) async throws -> R {
    try await withTemporaryDirectory { directory in
        let certificates = speakTLS ? try await RedisCertificates.make(in: directory) : nil
        let ports = try (0..<5).map { _ in try freeLoopbackPort() }
        func settings(_ port: Int) -> [(name: String, value: String)] {
            (certificates?.settings(port: port) ?? [("port", "\(port)")]) + [("bind", "127.0.0.1")]
        }
        let servers = try ports.prefix(2).enumerated().map { index, port in
            let place = try makeDirectory("\(directory)/server\(index)")
            var arguments = settings(port).flatMap { ["--\($0.name)", $0.value] }
            arguments += ["--save", "", "--appendonly", "yes", "--dir", place, "--logfile", "\(place)/log"]
            arguments += ["--repl-diskless-sync-delay", "0"]
            if index == 1 { arguments += ["--replicaof", "127.0.0.1", "\(ports[0])"] }
            return LoopbackServer(port: port, directory: place, arguments: arguments, certificates: certificates)
        }
        let sentinels = try ports.dropFirst(2).enumerated().map { index, port in
            let place = try makeDirectory("\(directory)/sentinel\(index)")
            let file = """
                \(settings(port).map { "\($0.name) \($0.value)" }.joined(separator: "\n"))
                dir \(place)
                logfile \(place)/log
                sentinel monitor \(TestSentinels.name) 127.0.0.1 \(ports[0]) 2
                sentinel down-after-milliseconds \(TestSentinels.name) 10000
                sentinel failover-timeout \(TestSentinels.name) 10000
                \(password.map { "requirepass \($0)" } ?? "")

                """
            // A sentinel keeps what it learns in its own file.
            try file.write(toFile: "\(place)/sentinel.conf", atomically: false, encoding: .utf8)
            return LoopbackServer(
                port: port,
                directory: place,
                arguments: ["\(place)/sentinel.conf", "--sentinel"],
                certificates: certificates,
                password: password
            )
        }
        let all = TestSentinels(
            servers: servers,
            sentinels: sentinels,
            certificates: certificates,
            passwordFile: try password.map { try writeSecret($0, to: "\(directory)/password") }
        )
        return try await whileRunning(servers) {
            // A sentinel asks for replicas when it starts, and then every ten seconds.
            try await eventually("the replica is in step") {
                try await servers[1].info("replication", "master_link_status") == "up"
            }
            return try await whileRunning(sentinels) {
                try await all.waitUntilAgreed()
                return try await body(all)
            }
        }
    }
}

func makeDirectory(_ path: String) throws -> String {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}
