import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct `A user at the command line` {
    @Test
    func `normal: submits a job, sees it run and end, and runs the next one`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let submitted = try await fleet.control(
                    "submit",
                    "--id",
                    "hello",
                    "--",
                    "sh",
                    "-c",
                    "echo one; echo two"
                )
                #expect(submitted.exitCode == 0)
                #expect(submitted.text == "hello\n")
                let record = try await fleet.wait(for: "hello", .completed)
                #expect(record.exitCode == 0)
                #expect(try await fleet.output(of: "hello") == "one\ntwo\n")
                let waited = try await fleet.control("wait", "hello")
                #expect(waited.exitCode == 0)
                #expect(waited.text == "hello: ✓ Command completed successfully\n")
                let again = try await fleet.control("submit", "--id", "hello", "--", "true")
                #expect(again.exitCode == 0)
                try await fleet.wait(for: "hello", .completed)
            }
        }
    }

    @Test
    func `interrupt during: interrupts a running job and is told when nothing of it is left`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control(
                    "submit",
                    "--id",
                    "long",
                    "--env",
                    "MARK=long-\(fleet.redis.pid ?? 0)",
                    "--grace",
                    "10s",
                    "--",
                    "sh",
                    "-c",
                    "echo partial; sleep 300 & sleep 300"
                )
                let mark = "MARK=long-\(fleet.redis.pid ?? 0)"
                try await eventually("the whole job runs") { processes(with: mark).count == 3 }
                let cancelled = try await fleet.control("cancel", "long", "--message", "wrong branch")
                #expect(cancelled.exitCode == 0, "\(cancelled)")
                #expect(processes(with: mark).isEmpty)
                #expect(cancelled.text.contains("⏹ Interrupt signal sent..."))
                #expect(cancelled.text.contains("⏹ Command interrupted"))
                let record = try await fleet.wait(for: "long", .interrupted)
                #expect(record.reason == .userCancelled)
                #expect(record.message == "wrong branch")
                #expect(record.stage == .terminate)
                #expect(record.termSignal == 15)
                // Either is at once, and which is first is a race between two connections.
                #expect(record.way == .push || record.way == .tracked)
                #expect(try await fleet.output(of: "long") == "partial\n")
                let history = try await fleet.control("history", "long", "-o", "json").text
                #expect(history.contains(#""event":"requested""#))
                #expect(history.contains(#""event":"acknowledged""#))
                #expect(history.contains("wrong branch"))
                let next = try await fleet.control("submit", "--id", "long", "--", "true")
                #expect(next.exitCode == 0, "the next run after a stop starts at once")
                try await fleet.wait(for: "long", .completed)
            }
        }
    }

    @Test
    func `may shorten the grace period of a job that does not listen, and kill it`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let deaf = ["--grace", "1h", "--", "bash", "-c", "trap '' TERM; echo up; while :; do sleep 300; done"]
                for (job, harder) in [("shortened", ["cancel", "--grace", "100ms"]), ("killed", ["kill"])] {
                    _ = try await fleet.control(["submit", "--id", job] + deaf)
                    try await eventually("\(job) is up") { try await fleet.output(of: job) == "up\n" }
                    #expect(try await fleet.control("cancel", job, "--no-wait").exitCode == 0)
                    try await fleet.wait(for: job, .cancelling)
                    let second = try await fleet.control(harder + [job])
                    #expect(second.exitCode == 0, "\(second)")
                    #expect(try await fleet.wait(for: job, .interrupted).termSignal == 9)
                }
            }
        }
    }

    @Test
    func `double execute: is refused a second run of a job that runs, and is told which`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control("submit", "--id", "one", "--", "sleep", "300")
                let run = try await fleet.wait(for: "one", .running).run
                let second = try await fleet.control("submit", "--id", "one", "--", "true")
                #expect(second.exitCode == 1)
                #expect(second.errors.contains("A command is already running. Please wait or interrupt it first."))
                #expect(second.errors.contains(run.rawValue))
                let unique = try await fleet.control("submit", "--id", "one", "--unique", "--", "true")
                #expect(unique.exitCode == 0)
                #expect(unique.text == "\(run)\n")
                #expect(try await fleet.control("kill", "one").exitCode == 0)
            }
        }
    }

    @Test
    func `interrupt of non-running: is told that there is nothing to interrupt`() async throws {
        try await withFleet { fleet in
            let unknown = try await fleet.control("cancel", "nobody")
            #expect(unknown.exitCode == 3)
            #expect(unknown.errors.contains("no such job 'nobody'. No command is currently running."))
            #expect(try await fleet.redis.command("KEYS", "*").array == [])
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control("submit", "--id", "short", "--", "true")
                try await fleet.wait(for: "short", .completed)
                let ended = try await fleet.control("cancel", "short")
                #expect(ended.exitCode == 4)
                #expect(ended.errors.contains("No command is currently running."))
                let killed = try await fleet.control("kill", "short")
                #expect(killed.exitCode == 4 && killed.errors.contains("No execution is currently running."))
                #expect(try await fleet.control("cancel", "short", "--if-running").exitCode == 0)
            }
        }
    }

    @Test
    func `cancels a queued job, which then never starts`() async throws {
        try await withFleet { fleet in
            _ = try await fleet.control("submit", "--id", "waiting", "--", "touch", "\(fleet.directory)/started")
            let cancelled = try await fleet.control("cancel", "waiting")
            #expect(cancelled.exitCode == 0, "\(cancelled)")
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control("submit", "--id", "after", "--", "true")
                try await fleet.wait(for: "after", .completed)
                let record = try await fleet.wait(for: "waiting", .interrupted)
                #expect(record.startedAt == nil)
                #expect(record.way == .queued)
                #expect(access("\(fleet.directory)/started", F_OK) != 0)
            }
        }
    }

    @Test
    func `gets the job's own output and exit status from run`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let result = try await fleet.control("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
                #expect(result.exitCode == 7)
                #expect(result.text == "out\n")
                #expect(result.errors.contains("err\n"))
                #expect(try await fleet.control("run", "--", "no-such-program").exitCode == 127)
                #expect(try await fleet.control("run", "--", "/etc/passwd").exitCode == 126)
                #expect(try await fleet.control("run", "--timeout", "200ms", "--", "sleep", "300").exitCode == 124)
                #expect(try await fleet.control("run", "--", "sh", "-c", "kill -KILL $$").exitCode == 128 + 9)
            }
        }
    }
}
