import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

/// What one call of the real binary gave.
struct ControlResult: Sendable {
    var status: Int32
    var output: String
    var error: String
}

/// The binary beside the test bundle, against one server.
struct Control: Sendable {
    let redis: TestRedis
    var locale = "C.UTF-8"

    static let path: FilePath = {
        let bundle = FilePath(CommandLine.arguments[0])
        return bundle.removingLastComponent().appending("interruptctl")
    }()

    static func environment(_ redis: TestRedis, locale: String = "C.UTF-8") -> Subprocess.Environment {
        .custom([
            "INTERRUPT_REDIS_URL": "redis+unix://\(redis.socketPath)", "LANG": locale,
            "PATH": "/usr/bin:/bin",
        ])
    }

    func callAsFunction(_ words: String...) async throws -> ControlResult {
        try await call(words)
    }

    func call(_ words: [String]) async throws -> ControlResult {
        try await call(words.map { Array($0.utf8) })
    }

    func call(_ words: [[UInt8]]) async throws -> ControlResult {
        let result = try await run(
            .path(Self.path),
            // Subprocess takes bytes as C strings: the NUL at the end is ours to write.
            arguments: Arguments(words.map { $0 + [0] }),
            environment: Self.environment(redis, locale: locale),
            input: .none,
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let number): 1_000 + number
            }
        return ControlResult(status: status, output: result.standardOutput, error: result.standardError)
    }
}

private func withWorker(
    answers: Bool = true,
    _ body: @Sendable (Control, TestRedis, TestWorker) async throws -> Void
) async throws {
    try await withRedis { redis async throws in
        let worker = try TestWorker(redis: redis, answers: answers)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.serve() }
            defer { group.cancelAll() }
            try await body(Control(redis: redis), redis, worker)
        }
    }
}

private func firstOrder(_ worker: TestWorker) async throws -> RunOrder {
    var iterator = worker.started.makeAsyncIterator()
    return try #require(await iterator.next())
}

@Suite(.timeLimit(.minutes(1))) struct `The real command against a real Redis` {
    @Test func `a running job is interrupted, step by step, and confirmed`() async throws {
        try await withWorker { control, _, worker async throws in
            #expect(try await control("submit", "--id", "nightly", "--", "make", "all").output == "nightly\n")
            let order = try await firstOrder(worker)
            #expect(order.command == [Array("make".utf8), Array("all".utf8)])
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

    @Test func `run copies both streams byte by byte and ends as the job did`() async throws {
        try await withWorker { control, _, worker async throws in
            async let attached = control.call([Array("run".utf8), Array("--".utf8), Array("x".utf8), [0xFF, 0x01]])
            let order = try await firstOrder(worker)
            #expect(order.command.last == [0xFF, 0x01])
            let chunks = [
                OutputChunk(stream: .output, offset: 0, bytes: Array("out\n".utf8)),
                OutputChunk(stream: .error, offset: 4, bytes: Array("err\n".utf8)),
                OutputChunk(stream: .output, offset: 108, bytes: Array("end\n".utf8)),
            ]
            try await worker.transport.append(chunks, of: order.run)
            let output = RunOutput(byteCount: 120, file: "/var/out.log", lastLine: "end")
            try await worker.transport.end(order.run, as: RunEnding(state: .failed, exitCode: 7, output: output))
            let result = try await attached
            #expect(result.status == 7)
            #expect(result.output == "out\nend\n")
            let summary = "… 108 bytes of the output left out: /var/out.log on worker 'alpha' has everything\n"
            #expect(result.error == "err\n" + summary)
            let logs = try await control("logs", order.run.rawValue)
            #expect(logs.output == "out\nend\n")
            #expect(logs.error == "err\n" + summary)
            #expect(try await control("history").output.contains(#"failed, exit code 7, last output "end""#))
        }
    }

    @Test func `what Redis has dropped before it was read is counted, in one line`() async throws {
        try await withWorker { control, redis, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "x")
            let order = try await firstOrder(worker)
            let size = 16 << 10
            for number in 0..<2_000 {
                let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: size)
                let chunk = OutputChunk(stream: .output, offset: Int64(number * size), bytes: bytes)
                try await worker.transport.append([chunk], of: order.run)
            }
            let used = try await redis.command("MEMORY", "USAGE", "interrupt/output/\(order.run)").integer ?? .max
            #expect(used < 24 << 20, "the stream is bounded in bytes")
            let output = RunOutput(byteCount: Int64(2_000 * size), file: "/var/out.log")
            try await worker.transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0, output: output))
            // Its text has more than the test reads; only what is said about it counts.
            let logs = try await run(
                .path(Control.path),
                arguments: ["logs", "nightly"],
                environment: Control.environment(redis),
                input: .none,
                output: .string(limit: 40 << 20),
                error: .string(limit: 65_536)
            )
            let missing = 2_000 * size - logs.standardOutput.utf8.count
            #expect(missing > 0 && logs.standardOutput.utf8.count > 15 << 20)
            #expect(
                logs.standardError
                    == "… \(missing) bytes of the output left out: /var/out.log on worker 'alpha' has everything\n"
            )
        }
    }

    @Test func `Ctrl-C in run interrupts the remote job`() async throws {
        try await withWorker { control, redis, worker async throws in
            let (pids, feed) = AsyncStream.makeStream(of: pid_t.self)
            async let attached = run(
                .path(Control.path),
                arguments: ["run", "--id", "nightly", "--", "x"],
                environment: Control.environment(redis),
                input: .none,
                output: .discarded,
                error: .string(limit: 65_536)
            ) { execution in
                feed.yield(execution.processIdentifier.value)
            }
            var iterator = pids.makeAsyncIterator()
            let pid = try #require(await iterator.next())
            let order = try await firstOrder(worker)
            // A press is taken in from the moment at which the command listens.
            try await waitUntilListening(redis)
            kill(pid, SIGINT)
            let result = try await attached
            #expect(result.terminationStatus == .exited(130))
            let status = try await control("status", order.run.rawValue)
            #expect(status.output.contains("Interrupted:  user_cancelled"))
        }
    }

    @Test(arguments: [(["run", "--id", "nightly", "--", "x"], Int32(125)), (["logs", "-f", "nightly"], Int32(1))])
    func `who follows a run whose record is gone from Redis is told, and does not wait for ever`(
        words: [String],
        status: Int32
    ) async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            if words.first == "logs" { _ = try await control("submit", "--id", "nightly", "--", "x") }
            async let following = control.call(words.map { Array($0.utf8) })
            try await eventually("the output is waited for") {
                (try await redis.command("CLIENT", "LIST").text ?? "").contains("cmd=xread")
            }
            let run = try await redis.command("HGET", "interrupt/job/nightly", "run").text ?? ""
            try await redis.command("FLUSHALL")
            let result = try await following
            #expect(result.status == status)
            #expect(
                result.error == """
                    error: the record of run \(run) is gone from Redis, expired or deleted: how the run ends cannot be \
                    seen any more, and it may still be running
                    hint: its worker knows: see that one's log, and its file with the output

                    """
            )
        }
    }

    @Test func `an ignored Ctrl-C stays ignored, as nohup and a shell's background mean it`() async throws {
        try await withWorker { control, redis, worker async throws in
            let (pids, feed) = AsyncStream.makeStream(of: pid_t.self)
            async let attached = run(
                .path("/bin/sh"),
                arguments: ["-c", "trap '' INT; exec \"$0\" run --id nightly -- x", Control.path.string],
                environment: Control.environment(redis),
                input: .none,
                output: .discarded,
                error: .string(limit: 65_536)
            ) { execution in
                feed.yield(execution.processIdentifier.value)
            }
            var iterator = pids.makeAsyncIterator()
            let pid = try #require(await iterator.next())
            let order = try await firstOrder(worker)
            try await waitUntilListening(redis)
            kill(pid, SIGINT)
            // A later command is answered: what the press could have asked for would be on record.
            #expect(try await control("status", "nightly").output.contains("running"))
            try await worker.transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0))
            let result = try await attached
            #expect(result.terminationStatus == .exited(0))
            #expect(!result.standardError.contains("Interrupting"))
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

/// Waits until somebody has subscribed to the events: then a waiting command has its handlers in place.
private func waitUntilListening(_ redis: TestRedis) async throws {
    while true {
        let reply = try await redis.command("PUBSUB", "NUMSUB", "interrupt:events")
        if reply.array?.last?.integer ?? 0 > 0 { return }
        try await Task.sleep(for: .milliseconds(2))
    }
}

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
            try await redis.command("PUBLISH", "interrupt:signals", #"{"target":"nightly","triggered_by":"ops"}"#)
            var iterator = arrivals.makeAsyncIterator()
            #expect(await iterator.next()?.triggeredBy == "ops")
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
