import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Plain ASCII` {
    @Test(arguments: [["--ascii"], []])
    func `is all that a user gets who asks for it, or whose locale has no more`(flags: [String]) async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis, locale: flags.isEmpty ? "C" : "C.UTF-8")
            _ = try await control("submit", "--id", "a", "--", "größe")
            let results = [
                try await control.call(["cancel", "a", "--message", "für"] + flags),
                try await control.call(["status", "a"] + flags),
                try await control.call(["history"] + flags),
                try await control.call(["wait", "a"] + flags),
                try await control.call(["cancel", "größe"] + flags),
                try await control.call(["größe"] + flags),
                try await control.call(["logs", "größe"] + flags),
                try await control.call(["list", "--redis", "redis+unix:///größe/x.sock"] + flags),
            ]
            #expect(results[0].output.contains("[stop] Interrupt signal sent..."))
            for result in results {
                #expect((result.output + result.error).utf8.allSatisfy { $0 < 0x80 }, "\(result)")
            }
            #expect(results[4].error.contains(#"'gr\u{f6}\u{df}e'"#))
        }
    }

    @Test func `is not forced on anybody else`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            #expect(try await control("cancel", "größe").error.contains("größe"))
            // What the job is given is no option of ours.
            #expect(try await control("submit", "--id", "ü", "--", "x", "--ascii").error.contains("ü"))
        }
    }
}
