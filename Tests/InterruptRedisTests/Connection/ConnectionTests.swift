import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct `A connection to a real server` {
    @Test func `10,000 pipelined commands are answered in order`() async throws {
        try await withRedis { redis in
            let connection = try await RedisConnection.connect(
                to: redis.endpoint,
                name: "test",
                configuration: .patient
            )
            let replies = try await connection.send((0..<10_000).map { RedisCommand("ECHO", .number($0)) })
            #expect(replies == (0..<10_000).map { .bulk(Array(String($0).utf8)) })
            #expect(connection.clientID != nil)
            #expect(try await connection.send(RedisCommand("CLIENT", "GETNAME")).text == "test")
            connection.close()
            #expect(await connection.waitUntilClosed().code == .closed)
        }
    }

    @Test func `bytes of any kind come back unchanged, over TCP too`() async throws {
        try await withRedis(tcp: true) { redis in
            let bytes = (0...255).map { UInt8($0) } + [13, 10, 0]
            for endpoint in [redis.endpoint, redis.tcpEndpoint] {
                let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
                try await connection.send(RedisCommand("SET", "", .bytes(bytes)))
                #expect(try await connection.send(RedisCommand("GET", "")) == .bulk(bytes))
                #expect(try await connection.send(RedisCommand("GET", "none")) == .null)
                connection.close()
            }
        }
    }

    @Test func `an error reply is thrown for one command and a value among many`() async throws {
        try await withRedis { redis in
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            let error = await #expect(throws: RedisError.self) { try await connection.send(RedisCommand("NONSENSE")) }
            #expect(error?.code == .reply && error?.isOutcomeUnknown == false)
            let replies = try await connection.send([RedisCommand("NONSENSE"), RedisCommand("PING")])
            #expect(replies[0].errorText != nil && replies[1] == .status("PONG"))
            connection.close()
        }
    }

    @Test func `user, password and database are checked, and the error says which is wrong`() async throws {
        try await withRedis(arguments: ["--requirepass", "right"]) { redis in
            func connect(_ user: String?, _ password: String?, database: Int = 0) async -> RedisError? {
                var endpoint = redis.endpoint
                (endpoint.username, endpoint.password, endpoint.database) = (user, password, database)
                do throws(RedisError) {
                    try await RedisConnection.connect(to: endpoint, configuration: .patient).close()
                    return nil
                } catch {
                    return error
                }
            }
            #expect(await connect(nil, "right", database: 15) == nil)
            let wrong = [await connect(nil, "wrong"), await connect("nobody", "right"), await connect(nil, nil)]
            #expect(wrong.allSatisfy { $0?.code == .authenticationFailed })
            #expect(wrong.allSatisfy { $0?.message.contains("right") == false })
            let database = await connect(nil, "right", database: 16)
            #expect(database?.message.contains("database 16") == true)
        }
    }

    @Test func `a script is sent again when the server has forgotten it`() async throws {
        try await withRedis { redis in
            let script = RedisScript(name: "echo", source: "return {KEYS[1], ARGV[1]}")
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            #expect(try await connection.send(RedisCommand("SCRIPT", "LOAD", script.source)).text == script.digest)
            for _ in 0..<2 {
                let reply = try await connection.evaluate(script, keys: ["k"], arguments: ["a"])
                #expect(reply == .array([.bulk([107]), .bulk([97])]))
                try await connection.send(RedisCommand("SCRIPT", "FLUSH"))
            }
            connection.close()
        }
    }

    @Test func `a command that times out closes the connection and its outcome is unknown`() async throws {
        try await withRedis { redis in
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            let error = await #expect(throws: RedisError.self) {
                try await connection.send(RedisCommand("BLPOP", "list", "0"), timeout: .milliseconds(30))
            }
            #expect(error?.code == .timedOut && error?.isOutcomeUnknown == true)
            #expect(await connection.waitUntilClosed().code == .timedOut)
            let next = await #expect(throws: RedisError.self) { try await connection.send(RedisCommand("PING")) }
            #expect(next?.isOutcomeUnknown == false)
        }
    }

    /// Sends a command, and cancels the task that waits when the server has it; returns what that task is told.
    private func cancelled(
        _ name: String,
        _ arguments: RedisArgument...,
        timeout: Duration? = nil,
        on connection: RedisConnection,
        of redis: TestRedis
    ) async throws -> RedisError? {
        try await withThrowingTaskGroup(of: RedisError?.self) { group in
            group.addTask {
                do throws(RedisError) {
                    try await connection.send(RedisCommand(name, arguments), timeout: timeout)
                    return nil
                } catch {
                    return error
                }
            }
            let id = try #require(connection.clientID)
            let shown = "cmd=\(name.lowercased())"
            while try await redis.command("CLIENT", "LIST", "ID", "\(id)").text?.contains(shown) == false {}
            group.cancelAll()
            return try await group.next() ?? nil
        }
    }

    @Test func `a cancelled task gets an error at once and leaves the connection to the others`() async throws {
        try await withRedis { redis in
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            try await redis.command("CLIENT", "PAUSE", "60000", "WRITE")
            let error = try await cancelled("SET", "k", "v", on: connection, of: redis)
            #expect(error?.code == .cancelled && error?.isOutcomeUnknown == true)
            async let other = connection.send(RedisCommand("GET", "k"))
            try await redis.command("CLIENT", "UNPAUSE")
            #expect(try await other.text == "v")
            connection.close()
        }
    }

    @Test func `a cancelled task that waits at the server gets an error at once, and the connection is closed`()
        async throws
    {
        try await withRedis { redis in
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            let error = try await cancelled("BLPOP", "list", "0", timeout: .unlimited, on: connection, of: redis)
            #expect(error?.code == .cancelled && error?.isOutcomeUnknown == true)
            #expect(await connection.waitUntilClosed().code == .cancelled)
        }
    }

    @Test func `messages and invalidations are pushed, a list of keys and a flush`() async throws {
        try await withRedis { redis in
            let (pushes, sink) = AsyncStream.makeStream(of: RedisPush.self)
            let subscriber = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            try await subscriber.subscribe(["news", "__redis__:invalidate"]) { sink.yield($0) }
            try await subscriber.ping()

            let commands = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            let target = try #require(subscriber.clientID)
            try await commands.send(RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", .number(target)))
            try await commands.send(RedisCommand("GET", "flag"))
            var next = pushes.makeAsyncIterator()
            try await redis.command("SET", "flag", "1")
            #expect(
                await next.next()
                    == RedisPush(channel: "__redis__:invalidate", payload: .array([.bulk(Array("flag".utf8))]))
            )
            try await redis.command("FLUSHALL")
            #expect(await next.next() == RedisPush(channel: "__redis__:invalidate", payload: .null))
            try await redis.command("PUBLISH", "news", "hello")
            #expect(await next.next() == RedisPush(channel: "news", payload: .bulk(Array("hello".utf8))))
            await #expect(throws: RedisError.self) { try await subscriber.send(RedisCommand("GET", "x")) }
            try await subscriber.ping()
            subscriber.close()
            commands.close()
        }
    }
}
