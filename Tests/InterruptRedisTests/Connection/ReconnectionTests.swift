import InterruptRedis
import InterruptTesting
import Testing

/// For tests that wait for a PING in vain.
private let quick = RedisConnectionConfiguration(pingInterval: .milliseconds(100), pingTimeout: .seconds(2))

/// Runs `body` while `run` runs, and cancels it afterwards.
private func during(_ run: @escaping @Sendable () async -> Void, _ body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await run() }
        defer { group.cancelAll() }
        try await body()
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A Redis client` {
    @Test func `lets commands wait for the first connection and runs its preparation before them`() async throws {
        try await withRedis { redis in
            let client = RedisClient(endpoint: redis.endpoint, configuration: .patient) {
                connection throws(RedisError) in
                try await connection.send(RedisCommand("SET", "prepared", "yes"))
            }
            try await during({ await client.run() }) {
                // Most likely sent before the connection is there; in any case it must not overtake the preparation.
                let reply = try await client.send(RedisCommand("GET", "prepared"))
                #expect(reply.text == "yes")
                #expect(client.isConnected)
            }
            #expect(!client.isConnected)
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(error?.code == .closed)
        }
    }

    @Test func `without a server says why, after the command's timeout`() async throws {
        let client = RedisClient(endpoint: RedisEndpoint(address: .unix(path: "/tmp/no/such.sock")))
        try await during({ await client.run() }) {
            var error: RedisError?
            try await eventually("an attempt fails within that") {
                error = await #expect(throws: RedisError.self) {
                    try await client.send(RedisCommand("PING"), timeout: .seconds(2))
                }
                return error?.message.contains("no such socket") == true
            }
            #expect(error?.code == .cannotConnect)
            #expect(error?.isOutcomeUnknown == false)
        }
    }

    @Test func `never gives an old reply to a new command`() async throws {
        try await withRedis { redis in
            let client = RedisClient(endpoint: redis.endpoint, configuration: .patient)
            try await during({ await client.run() }) {
                try await client.send(RedisCommand("SET", "old", "old"))
                try await redis.command("CLIENT", "PAUSE", "60000", "WRITE")
                let error = await #expect(throws: RedisError.self) {
                    try await client.send(RedisCommand("GETSET", "old", "older"), timeout: .milliseconds(50))
                }
                #expect(error?.code == .timedOut && error?.isOutcomeUnknown == true)
                try await redis.command("CLIENT", "UNPAUSE")
                #expect(try await client.send(RedisCommand("ECHO", "new")).text == "new")
            }
        }
    }

    @Test func `fails what was written to a killed connection and comes back`() async throws {
        try await withRedis { redis in
            let client = RedisClient(endpoint: redis.endpoint, configuration: .patient)
            try await during({ await client.run() }) {
                let id = try #require(try await client.send(RedisCommand("CLIENT", "ID")).integer)
                async let blocked = client.send(RedisCommand("BLPOP", "list", "0"), timeout: .seconds(20))
                while try await redis.command("CLIENT", "LIST", "ID", "\(id)").text?.contains("cmd=blpop") == false {}
                try await redis.command("CLIENT", "KILL", "ID", "\(id)")
                do {
                    _ = try await blocked
                    Issue.record("the command cannot have been answered")
                } catch {
                    let error = try #require(error as? RedisError)
                    #expect(error.code == .connectionLost && error.isOutcomeUnknown)
                }
                #expect(try await client.send(RedisCommand("CLIENT", "ID")).integer != id)
            }
        }
    }

    @Test func `comes back after the server was killed and started again, and finds its script gone`() async throws {
        try await withRedis { redis in
            let script = RedisScript(name: "one", source: "return 1")
            let client = RedisClient(endpoint: redis.endpoint, configuration: .patient)
            try await during({ await client.run() }) {
                #expect(try await client.evaluate(script, keys: []) == .integer(1))
                try await redis.takeAway()
                try await eventually("the loss is noticed") { !client.isConnected }
                try await redis.bringBack()
                #expect(try await client.evaluate(script, keys: [], timeout: .seconds(20)) == .integer(1))
            }
        }
    }

    @Test func `notices by PING that its server hangs`() async throws {
        try await withRedis { redis in
            let client = RedisClient(endpoint: redis.endpoint, configuration: quick)
            try await during({ await client.run() }) {
                let id = try await client.send(RedisCommand("CLIENT", "ID"), timeout: .seconds(20))
                redis.stop()
                try await eventually("the loss is noticed") { !client.isConnected }
                redis.resume()
                #expect(try await client.send(RedisCommand("CLIENT", "ID"), timeout: .seconds(20)) != id)
            }
        }
    }

    @Test func `forgets a command whose task is cancelled while it waits`() async throws {
        let client = RedisClient(endpoint: RedisEndpoint(address: .unix(path: "/tmp/no/such.sock")))
        await withTaskGroup(of: RedisError.Code?.self) { group in
            group.addTask {
                do throws(RedisError) {
                    try await client.send(RedisCommand("PING"), timeout: .unlimited)
                    return nil
                } catch {
                    return error.code
                }
            }
            group.cancelAll()
            #expect(await group.next() == .some(.cancelled))
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A Redis subscriber` {
    private enum Seen: Equatable { case connected, push(String), disconnected(RedisError.Code) }

    private func subscribed(
        to redis: TestRedis,
        configuration: RedisConnectionConfiguration = .patient,
        _ body: (RedisSubscriber, () async -> Seen?) async throws -> Void
    ) async throws {
        let (events, sink) = AsyncStream.makeStream(of: Seen.self)
        let subscriber = RedisSubscriber(
            endpoint: redis.endpoint,
            configuration: configuration,
            channels: ["a", "b"]
        ) { event in
            switch event {
            case .connected(let id): sink.yield(id == nil ? .push("no id") : .connected)
            case .push(let push): sink.yield(.push("\(push.channel) \(push.payload.text ?? "")"))
            case .disconnected(let error): sink.yield(.disconnected(error.code))
            }
        }
        try await during({ await subscriber.run() }) {
            try await body(subscriber) { await events.first { _ in true } }
        }
    }

    @Test func `reports the gap when its connection is killed, and hears again after it`() async throws {
        try await withRedis { redis in
            try await subscribed(to: redis) { subscriber, next in
                #expect(await next() == .connected)
                try await redis.command("PUBLISH", "a", "1")
                #expect(await next() == .push("a 1"))
                try await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                #expect(await next() == .disconnected(.connectionLost))
                #expect(await next() == .connected)
                try await redis.command("PUBLISH", "b", "2")
                #expect(await next() == .push("b 2"))
                subscriber.reconnect()
                #expect(await next() == .disconnected(.closed))
                #expect(await next() == .connected)
            }
        }
    }

    @Test func `reports one gap while the server is away, however many attempts fail`() async throws {
        try await withRedis { redis in
            try await subscribed(to: redis) { _, next in
                #expect(await next() == .connected)
                try await redis.restart()
                #expect(await next() == .disconnected(.connectionLost))
                #expect(await next() == .connected)
            }
        }
    }

    @Test func `notices by PING that its server hangs`() async throws {
        try await withRedis { redis in
            try await subscribed(to: redis, configuration: quick) { _, next in
                #expect(await next() == .connected)
                redis.stop()
                #expect(await next() == .disconnected(.timedOut))
                redis.resume()
                #expect(await next() == .connected)
            }
        }
    }
}
