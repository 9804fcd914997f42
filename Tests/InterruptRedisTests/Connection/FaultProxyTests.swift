import InterruptRedis
import InterruptTesting
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct `A fault proxy` {
    /// Says nothing by itself.
    private let quiet = RedisConnectionConfiguration(
        connectTimeout: .seconds(20),
        commandTimeout: .seconds(20),
        pingInterval: nil
    )

    /// Runs `body` with a proxy in front of a server, and a connection through it.
    private func connected(
        listensOnTCP: Bool = false,
        seed: UInt64 = 0,
        _ body: (FaultProxy, RedisConnection) async throws -> Void
    ) async throws {
        try await withRedis { redis in
            try await withFaultProxy(to: redis.endpoint, listensOnTCP: listensOnTCP, seed: seed) { proxy in
                let connection = try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
                defer { connection.close() }
                try await body(proxy, connection)
            }
        }
    }

    private func failure(of connection: RedisConnection) async -> RedisError? {
        do throws(RedisError) {
            try await connection.ping()
            return nil
        } catch {
            return error
        }
    }

    /// How many connections the server has.
    private func clients(_ connection: RedisConnection) async throws -> Int {
        try await connection.send(RedisCommand("CLIENT", "LIST")).text?.split(separator: "\n").count ?? 0
    }

    @Test(arguments: [false, true])
    func `is not noticed as long as nothing is wrong`(listensOnTCP: Bool) async throws {
        try await connected(listensOnTCP: listensOnTCP) { proxy, connection in
            let big = [UInt8](repeating: 7, count: 3_000_000)
            #expect(try await connection.send(RedisCommand("ECHO", .bytes(big)), timeout: .seconds(20)) == .bulk(big))
            #expect(try await proxy.connectionCount == 1)
            connection.close()
            try await eventually("both halves are gone") { try await proxy.connectionCount == 0 }
            #expect(try await proxy.acceptedCount == 1)
        }
    }

    @Test func `cuts a reply in the middle, and lets a command through of which nobody hears`() async throws {
        try await withRedis { redis in
            try await withFaultProxy(to: redis.endpoint) { proxy in
                // The greeting's answer, ":12\r\n", is five bytes or a few more: the next reply ends early.
                proxy.rules = FaultRules(toClient: .cut(after: 9))
                let connection = try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
                let error = await #expect(throws: RedisError.self) {
                    try await connection.send(RedisCommand("INCR", "n"))
                    try await connection.send(RedisCommand("INCR", "n"))
                }
                #expect(error?.code == .connectionLost && error?.isOutcomeUnknown == true)
                let count = try await redis.command("GET", "n").text
                #expect(count == "1" || count == "2")
            }
        }
    }

    @Test func `cuts a command in the middle, of which the server takes nothing`() async throws {
        try await connected { proxy, connection in
            // More than the greeting, less than the command.
            proxy.rules = FaultRules(toServer: .cut(after: 60))
            let value = String(repeating: "x", count: 100)
            await #expect(throws: RedisError.self) { try await connection.send(RedisCommand("SET", "k", .text(value))) }
            proxy.rules = FaultRules()
            let other = try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
            defer { other.close() }
            #expect(try await other.send(RedisCommand("EXISTS", "k")) == .integer(0))
        }
    }

    @Test func `delays both ways, within its jitter`() async throws {
        try await connected(seed: 5) { proxy, connection in
            proxy.rules = FaultRules(
                toServer: .delayed(.milliseconds(40), jitter: .milliseconds(10)),
                toClient: .delayed(.milliseconds(40), jitter: .milliseconds(10))
            )
            let begin = ContinuousClock.now
            try await connection.ping()
            let time = begin.duration(to: .now)
            #expect(time >= .milliseconds(60), "\(time)")
            proxy.rules = FaultRules()
            try await connection.ping()
        }
    }

    @Test func `trickles, and everything still arrives`() async throws {
        try await connected { proxy, connection in
            proxy.rules = FaultRules(toClient: .trickling(bytes: 1, every: .milliseconds(2)))
            let begin = ContinuousClock.now
            let reply = try await connection.send(RedisCommand("ECHO", "0123456789"))
            #expect(reply.text == "0123456789")
            #expect(begin.duration(to: .now) >= .milliseconds(2 * 15), "sixteen bytes and more")
        }
    }

    @Test func `resets a connection, which a closed one is told from`() async throws {
        try await connected(listensOnTCP: true) { proxy, connection in
            proxy.cut(.reset)
            #expect(await connection.waitUntilClosed().message.contains("reset"))
            let other = try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
            proxy.cut()
            #expect(await other.waitUntilClosed().message == "the server closed the connection")
        }
    }

    @Test(arguments: [FaultRules.halfOpen, FaultRules(toServer: .silent), FaultRules(toClient: .silent)])
    func `keeps a half-open connection, whose command is carried out when it heals`(rules: FaultRules) async throws {
        var short = quiet
        short.commandTimeout = .milliseconds(300)
        try await withRedis { redis in
            try await withFaultProxy(to: redis.endpoint) { proxy in
                let connection = try await RedisConnection.connect(to: proxy.endpoint, configuration: short)
                proxy.rules = rules
                #expect(await failure(of: connection)?.code == .timedOut)
                let late = try await RedisConnection.connect(to: redis.endpoint, configuration: quiet)
                defer { late.close() }
                // Its client has gone, of which the server hears nothing unless that way is open.
                if rules.toServer.isSilent { #expect(try await clients(late) == 2) }
                proxy.rules = FaultRules()
                try await eventually("the server hears of the end") { try await clients(late) == 1 }
            }
        }
    }

    @Test(arguments: [false, true])
    func `refuses who connects anew, and nobody else`(listensOnTCP: Bool) async throws {
        try await connected(listensOnTCP: listensOnTCP) { proxy, connection in
            try await proxy.refuseConnections()
            try await proxy.refuseConnections()
            try await connection.ping()
            let error = await #expect(throws: RedisError.self) {
                try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
            }
            #expect(error?.code == .cannotConnect, "\(error?.message ?? "")")
            try await proxy.acceptConnections()
            try await proxy.acceptConnections()
            try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet).close()
        }
    }

    @Test func `hands on each push twice, and each reply once`() async throws {
        try await connected { proxy, connection in
            proxy.rules.duplicatesPushes = true
            let (texts, sink) = AsyncStream.makeStream(of: String.self)
            try await connection.subscribe(["c"]) { sink.yield($0.payload.text ?? "") }
            let other = try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
            defer { other.close() }
            for text in ["a", "b"] { try await other.send(RedisCommand("PUBLISH", "c", .text(text))) }
            try await connection.ping()
            var iterator = texts.makeAsyncIterator()
            for text in ["a", "a", "b", "b"] { #expect(await iterator.next() == text) }
        }
    }

    @Test func `ends its client's connection when the server is gone`() async throws {
        try await withRedis { redis in
            try await withFaultProxy(to: redis.endpoint) { proxy in
                let connection = try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet)
                try await redis.restart()
                #expect(await connection.waitUntilClosed().code == .connectionLost)
                try await RedisConnection.connect(to: proxy.endpoint, configuration: quiet).close()
            }
        }
    }
}
