import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

@Suite(.timeLimit(.minutes(1))) struct `What Redis refuses` {
    @Test func `a wrong password and a missing right are not permitted, and no password is shown`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            _ = try await redis.command(
                "ACL",
                "SETUSER",
                "reader",
                "on",
                ">s3cret",
                "~*",
                "&*",
                "+@read",
                "+@connection"
            )
            let url = "redis+unix://reader:s3cret@\(redis.socketPath)"
            let refused = try await control("submit", "--redis", url, "--", "x")
            #expect(refused.status == 77)
            #expect(refused.error.contains("evalsha"))
            let wrong = try await control("list", "--redis", "redis+unix://reader:wr0ng@\(redis.socketPath)")
            #expect(wrong.status == 77)
            for result in [refused, wrong] {
                #expect(!result.error.contains("s3cret") && !result.error.contains("wr0ng"))
                #expect(result.error.split(separator: "\n").count == 2)
            }
        }
    }

    @Test func `a full Redis records nothing, says so without the script's digest, and a bare message arrives`()
        async throws
    {
        try await withWorker(answers: false) { control, redis, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "make")
            let order = try await firstOrder(worker)
            let (arrivals, arrived) = AsyncStream.makeStream(of: InterruptSignal.self)
            worker.transport.watch(order) { signal, _ in arrived.yield(signal) }
            try await redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            try await redis.command("CONFIG", "SET", "maxmemory", "1mb")
            let refused = try await control("cancel", "nightly")
            #expect(refused.status == 1)
            #expect(
                refused.error.hasPrefix(
                    "error: refused by Redis: OOM command not allowed when used memory > 'maxmemory'.\nhint: nothing was"
                ),
                "\(refused)"
            )
            #expect(refused.error.split(separator: "\n").count == 2)
            #expect(try await redis.command("EXISTS", "interrupt/request/\(order.run)").integer == 0)
            try await eventually("somebody hears the message") {
                let message = #"{"target":"nightly","triggered_by":"ops"}"#
                return try await redis.command("PUBLISH", "interrupt:signals", message).integer ?? 0 > 0
            }
            var iterator = arrivals.makeAsyncIterator()
            #expect(await iterator.next()?.triggeredBy == "ops")
        }
    }

    @Test func `of one target of several is said with its name, and what was asked before is followed to its end`()
        async throws
    {
        try await withWorker { control, redis, worker async throws in
            for job in ["first", "lastZ", "third"] {
                #expect(try await control("submit", "--id", job, "--", "x").status == 0)
                _ = try await firstOrder(worker)
            }
            // No run's id ends in a capital letter.
            try await redis.command("ACL", "SETUSER", "most", "on", ">pw", "~*[^Z]", "&*", "+@all")
            let url = "redis+unix://most:pw@\(redis.socketPath)"
            let cancel = try await control("cancel", "first", "lastZ", "third", "--yes", "--redis", url)
            #expect(cancel.status == 77, "\(cancel)")
            #expect(cancel.output.contains("Command interrupted by user"))
            let lines = cancel.error.split(separator: "\n")
            #expect(lines.count == 2 && lines[0].hasPrefix("error: 'lastZ': not permitted: "), "\(cancel)")
            #expect(lines[0].hasSuffix("; not asked: 'third'"))
            #expect(lines[1] == "hint: the targets before it were asked; ask for the rest again")
            for (job, state) in [("first", "interrupted"), ("lastZ", "running"), ("third", "running")] {
                #expect(try await control("status", job, "-o", "json").output.contains(#""state":"\#(state)""#))
            }
        }
    }

    @Test func `after a group's gate was closed is not called nothing`() async throws {
        try await withWorker { control, redis, worker async throws in
            #expect(try await control("submit", "--id", "a", "--group", "g", "--", "x").status == 0)
            _ = try await firstOrder(worker)
            // All but the requests.
            try await redis.command(
                "ACL",
                "SETUSER",
                "gates",
                "on",
                ">pw",
                "~interrupt/[^r]*",
                "~interrupt/request/",
                "~interrupt/run/*",
                "~interrupt:*",
                "&*",
                "+@all"
            )
            let url = "redis+unix://gates:pw@\(redis.socketPath)"
            let cancel = try await control("cancel", "group:g", "--yes", "--redis", url)
            #expect(cancel.status == 77, "\(cancel)")
            let lines = cancel.error.split(separator: "\n")
            #expect(lines.count == 2 && lines[0].hasPrefix("error: recorded for a part of them only: "), "\(cancel)")
            #expect(lines[1].hasPrefix("hint: look with 'interruptctl status'"))
            #expect(try await redis.command("EXISTS", "interrupt/gate/group:g").integer == 1)
        }
    }

    @Test func `hostile text on record is shown escaped, in every command`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            let hostile = "\u{1B}[2J\u{1B}]0;x\u{7}\r\u{202E}"
            _ = try await control("submit", "--id", "a", "--", "x", hostile)
            _ = try await control("cancel", "a", "--message", hostile)
            for words in [["list"], ["status"], ["status", "a"], ["history"], ["history", "a"], ["wait", "a"]] {
                let result = try await control.call(words.map { Array($0.utf8) })
                for scalar in (result.output + result.error).unicodeScalars {
                    #expect(scalar == "\n" || scalar.value >= 0x20 && scalar.value != 0x7F && scalar.value != 0x202E)
                }
            }
        }
    }
}
