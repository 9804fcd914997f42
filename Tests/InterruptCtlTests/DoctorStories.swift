import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct `The doctor` {
    @Test func `finds nothing wrong with a server that keeps what it takes and a worker that is heard of`() async throws
    {
        try await withWorker { control, redis, _ async throws in
            try await redis.command("CONFIG", "SET", "appendonly", "yes")
            try await eventually("the worker is there") {
                try await redis.command("SCARD", "interrupt/workers").integer == 1
            }
            let result = try await control("doctor")
            #expect(result.status == 0 && result.error.isEmpty)
            let lines = result.output.split(separator: "\n")
            #expect(lines.count == 7 && lines.allSatisfy { $0.hasPrefix("ok ") }, "\(result.output)")
            #expect(lines.last == "ok       1 worker is there, and heard of lately")
        }
    }

    @Test func `warns of what may be lost, and fails where keys may be evicted or no request is taken`() async throws {
        try await withRedis(tcp: true) { redis async throws in
            let control = Control(redis: redis)
            let plain = try await control("doctor")
            #expect(plain.status == 0)
            #expect(
                plain.output.contains("\nwarning  not durable: this Redis has no append-only file; a restart of it")
            )
            #expect(plain.output.hasSuffix("submitted waits\n         hint: start 'interruptd'\n"))
            try await redis.command("CONFIG", "SET", "maxmemory", "100mb")
            try await redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
            let evicting = try await control("doctor", "-o", "json")
            #expect(evicting.status == 1 && evicting.error.isEmpty)
            #expect(
                evicting.output.contains(#"{"grade":"error","hint":"set maxmemory-policy noeviction","subject":"evic"#)
            )
            try await withRedis(arguments: ["--replicaof", "127.0.0.1", "\(redis.port!)"]) { replica async throws in
                let result = try await Control(redis: replica)("doctor")
                #expect(
                    result.status == 1 && result.output.contains("\nerror    it is a replica, and takes no requests\n")
                )
            }
        }
    }

    @Test func `says who is silent, and asks no more than a user may`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            try await redis.command("SADD", "interrupt/workers", "w1")
            for (field, value) in [("instance", "i"), ("lease_ms", "30000"), ("host", "h\u{1b}"), ("pid", "7")] {
                try await redis.command("HSET", "interrupt/worker/w1", field, value)
            }
            let result = try await control("doctor")
            #expect(result.status == 0)
            #expect(
                result.output.contains("\nwarning  worker 'w1' is silent, last heard of")
                    && result.output.contains("ago\n         hint: look at it on 'h\\x1b', process 7\n"),
                "\(result.output)"
            )
            let rules = ["reset", "on", ">p", "~*", "&*", "+@all", "-info"]
            for rule in rules { try await redis.command("ACL", "SETUSER", "blind", rule) }
            let url = "redis+unix://blind:p@\(redis.socketPath)"
            let blind = try await control("doctor", "--redis", url)
            #expect(blind.status == 0 && blind.output.contains("\nwarning  this user may not ask how the server keeps"))
        }
    }
}
