import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

@Suite(.timeLimit(.minutes(1))) struct `The real command against a real Redis` {
    @Test func `a running job is interrupted, step by step, and confirmed`() async throws {
        try await withWorker { control, _, worker async throws in
            #expect(try await control("submit", "--id", "nightly", "--", "make", "all").output == "nightly\n")
            let order = try await firstOrder(worker)
            #expect(order.work == .command([Array("make".utf8), Array("all".utf8)]))
            let cancel = try await control("cancel", "nightly", "--message", "wrong branch", "--request-id", "q1")
            #expect(cancel.status == 0, "\(cancel)")
            let lines = cancel.output.split(separator: "\n")
            #expect(lines.count == 3)
            #expect(lines.first == "⏹ Interrupt signal sent... (stage 2 terminate, request q1)")
            #expect(lines.dropFirst().first?.hasPrefix("acknowledged via ") == true)
            #expect(
                lines.last?.hasPrefix("⏹ Command interrupted by user (reason user_cancelled, stage terminate, SIGTERM")
                    == true
            )
            let again = try await control("cancel", "nightly")
            #expect(again.status == 4)
            #expect(again.error.contains("has already ended (interrupted, "))
            #expect(again.error.contains("No command is currently running."))
            #expect(try await control("cancel", "nightly", "--if-running").status == 0)
            let history = try await control("history", "nightly")
            #expect(history.output.contains("Interrupted: user_cancelled"))
            #expect(history.output.contains("\"wrong branch\""))
            #expect(try await control("wait", "nightly").status == 130)
        }
    }

    @Test func `JSON says how fast, and who asked first`() async throws {
        try await withWorker(answers: false) { control, _, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "make")
            _ = try await firstOrder(worker)
            let first = try await control("cancel", "nightly", "--no-wait", "-o", "json")
            #expect(first.status == 0)
            #expect(first.output.contains(#""already_requested":false"#))
            let second = try await control("cancel", "nightly", "--no-wait")
            #expect(second.status == 0)
            #expect(second.output.hasPrefix("already requested (stage terminate, by "))
            let kill = try await control("kill", "nightly", "--wait", "500ms")
            #expect(kill.status == 5)
            #expect(kill.output.contains("harder than what was asked before"))
            #expect(kill.error.contains("recorded but not confirmed"))
            #expect(try await control("status", "nightly").output.contains("3 kill, not yet acknowledged"))
        }
    }

    @Test func `asking twice with one request id interrupts once`() async throws {
        try await withWorker(answers: false) { control, redis, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "make")
            _ = try await firstOrder(worker)
            let words = ["cancel", "nightly", "--no-wait", "--request-id", "q1", "-o", "json"]
            for isSecond in [false, true] {
                let result = try await control.call(words)
                #expect(result.status == 0, "\(result)")
                #expect(result.output.contains(#""request_id":"q1""#))
                #expect(result.output.contains(#""already_requested":\#(isSecond)"#))
            }
            let events = try await control("history", "nightly", "-o", "json").output.split(separator: "\n")
            #expect(events.count { $0.contains(#""request_id":"q1""#) } == 1)
        }
    }

    @Test func `a job that runs already is named, and its run id given with --unique`() async throws {
        try await withWorker { control, _, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "make")
            let run = try await firstOrder(worker).run.rawValue
            let second = try await control("submit", "--id", "nightly", "--", "make")
            #expect(second.status == 1)
            #expect(
                second.error.contains(
                    "A command is already running. Please wait or interrupt it first. (job nightly, run \(run))"
                )
            )
            let unique = try await control("submit", "--id", "nightly", "--unique", "--", "make")
            #expect(unique.status == 0)
            #expect(unique.output == run + "\n")
        }
    }

    @Test func `many need a yes, and a drained queue takes nothing until it is resumed`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            for name in ["a", "b", "c"] { _ = try await control("submit", "--id", name, "--group", "g", "--", "x") }
            let refused = try await control("cancel", "group:g")
            #expect(refused.status == 1)
            #expect(refused.error.contains("add --yes"))
            #expect(try await control("cancel", "group:g", "--dry-run").output.split(separator: "\n").count == 4)
            let cancelled = try await control("cancel", "group:g", "--yes", "-o", "json")
            #expect(cancelled.status == 0)
            #expect(cancelled.output.split(separator: "\n").count == 3)
            #expect(try await control("cancel", "group:g").output == "nothing to interrupt\n")
            #expect(try await control("cancel", "a", "nope", "--yes").status == 3)
            _ = try await control("drain", "queue:default", "--yes")
            let gated = try await control("submit", "--", "x")
            #expect(gated.status == 1)
            #expect(gated.error.contains("hint: run 'interruptctl resume queue:default'"))
            #expect(try await control("resume", "queue:default").status == 0)
            #expect(try await control("submit", "--", "x").status == 0)
        }
    }

    @Test func `an expected run that is not the newest is not touched`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            _ = try await control("submit", "--id", "a", "--request-id", "r1", "--", "x")
            _ = try await control("cancel", "a")
            _ = try await control("submit", "--id", "a", "--request-id", "r2", "--", "x")
            let result = try await control("cancel", "a", "--run", "r1")
            #expect(result.status == 4)
            #expect(result.error.contains("run r1 of job 'a' is not its newest: that is r2"))
            #expect(try await control("status", "r2").output.contains("State:     queued"))
            #expect(try await control("cancel", "--run", "r2").status == 0)
        }
    }

    @Test func `asking again says by which way the first request came, also without waiting`() async throws {
        try await withWorker(answers: false) { control, _, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "make")
            let order = try await firstOrder(worker)
            _ = try await control("cancel", "nightly", "--no-wait", "--request-id", "q1")
            let signal = InterruptSignal(id: RequestID(rawValue: "q1"))
            try await worker.transport.acknowledge(signal, way: .push, for: order.run)
            let again = try await control("cancel", "nightly", "--no-wait", "-o", "json")
            #expect(again.output.contains(#""already_requested":true"#))
            #expect(again.output.contains(#""via":"push""#), "\(again)")
            #expect(again.status == 0)
        }
    }

    @Test func `a missing job, a missing Redis and wrong usage have their own exit status`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            for format in ["table", "json"] {
                let history = try await control("history", "nope", "-o", format)
                #expect(history.status == 3 && history.output.isEmpty)
                #expect(history.error.hasPrefix("error: no such job 'nope'"))
            }
            #expect(try await control("history").output == "nothing on record\n")
            let files = try await control("list", "--redis", "rediss://localhost", "--tls-ca", "/nowhere/ca.crt")
            #expect(files.status == 64)
            #expect(files.error.hasPrefix("error: --tls-ca: /nowhere/ca.crt: No such file or directory\n"), "\(files)")
            #expect(try await control("cancel", "nope").status == 3)
            #expect(try await control("status", "nope").status == 3)
            #expect(try await control("wait", "nope").status == 125)
            #expect(try await control("cancle", "nope").status == 64)
            #expect(try await control().status == 64)
            #expect(try await control("--version").status == 0)
            #expect(try await control("list", "--redis", "redis+unix:///nowhere/x.sock").status == 69)
            #expect(try await control("run", "--redis", "redis+unix:///nowhere/x.sock", "--", "x").status == 125)
            #expect(try await control("help", "interrupts").output.hasPrefix("Ctrl+C once:"))
        }
    }
}
