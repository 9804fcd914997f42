import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

@Suite(.timeLimit(.minutes(1))) struct `Following a run` {
    @Test func `run copies both streams byte by byte and ends as the job did`() async throws {
        try await withWorker { control, _, worker async throws in
            async let attached = control.call([Array("run".utf8), Array("--".utf8), Array("x".utf8), [0xFF, 0x01]])
            let order = try await firstOrder(worker)
            #expect(order.work == .command([Array("x".utf8), [0xFF, 0x01]]))
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
            let summary = "… 108 bytes of the output left out: box:/var/out.log on worker 'alpha' has everything\n"
            #expect(result.error == "err\n" + summary)
            let logs = try await control("logs", order.run.rawValue)
            #expect(logs.output == "out\nend\n")
            #expect(logs.error == "err\n" + summary)
            #expect(try await control("history").output.contains(#"failed, exit code 7, last output "end""#))
        }
    }

    @Test func `run says that too few replicas have the job, and follows it all the same`() async throws {
        try await withWorker { control, _, worker async throws in
            async let attached = control("run", "--id", "j", "--durability", "replicas:1", "--", "x")
            let order = try await firstOrder(worker)
            try await worker.transport.end(order.run, as: RunEnding(state: .failed, exitCode: 7))
            let result = try await attached
            #expect(result.status == 7)
            #expect(result.error.hasSuffix("warning: job 'j' is queued, but stored on 0 of 1 replicas\n"), "\(result)")
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
                    == "… \(missing) bytes of the output left out: box:/var/out.log on worker 'alpha' has everything\n"
            )
        }
    }

    @Test func `Ctrl-C in run interrupts the remote job`() async throws {
        try await withWorker { control, redis, worker async throws in
            let (result, order) = try await attachedRun("exec \"$0\" run --id nightly -- x", redis, worker) { pid, _ in
                kill(pid, SIGINT)
            }
            #expect(result.status == .exited(130))
            let status = try await control("status", order.run.rawValue)
            #expect(status.output.contains("Interrupted:  user_cancelled"))
        }
    }

    @Test func `Ctrl-C in run is asserted until the worker has it, also when Redis has lost it`() async throws {
        try await withWorker(answers: false) { control, redis, worker async throws in
            let (result, _) = try await attachedRun("exec \"$0\" run --id nightly -- x", redis, worker) { pid, order in
                kill(pid, SIGINT)
                let key = "interrupt/request/\(order.run)"
                var ids: Set<String> = []
                for _ in 0..<2 {
                    try await eventually("the request is on record") {
                        guard let request = try await control.request(for: order.run) else { return false }
                        ids.insert(request.id.rawValue)
                        return true
                    }
                    try await redis.command("DEL", key, "interrupt:nightly")
                }
                #expect(ids.count == 1)
                try await worker.transport.end(order.run, as: RunEnding(state: .interrupted, termSignal: 15))
            }
            #expect(result.status == .exited(130))
        }
    }

    @Test func `Ctrl-C in run is asserted for the run in which the job is tried again, too`() async throws {
        try await withWorker(answers: false) { control, redis, worker async throws in
            let script = "exec \"$0\" run --id nightly --retries 1 -- x"
            let (result, _) = try await attachedRun(script, redis, worker) { pid, first in
                try await worker.transport.end(first.run, as: RunEnding(state: .failed, exitCode: 1))
                worker.transport.unwatch(first.run)
                try await eventually("it is tried again") {
                    // Whoever looks after the others has offered what is due.
                    _ = try await worker.transport.survey()
                    return try await control("status", "nightly", "-o", "json").output.contains(#""attempt":2"#)
                }
                let second = try await firstOrder(worker)
                try await eventually("its output is waited for") {
                    let list = try await redis.command("CLIENT", "LIST").text ?? ""
                    return list.contains("cmd=xread")
                }
                kill(pid, SIGINT)
                for _ in 0..<2 {
                    try await eventually("the request is on record") {
                        try await control.request(for: second.run) != nil
                    }
                    try await redis.command("DEL", "interrupt/request/\(second.run)", "interrupt:nightly")
                }
                try await worker.transport.end(second.run, as: RunEnding(state: .interrupted, termSignal: 15))
            }
            #expect(result.status == .exited(130))
        }
    }

    @Test func `a terminal gets what would steer it as escapes, unless it is to get everything`() async throws {
        try await withWorker { control, _, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "x")
            let order = try await firstOrder(worker)
            let text = Array("\u{1B}[2J\tä\\n\r\nover\rwritten\u{9B}6n\u{202E}\n".utf8)
            for (offset, byte) in text.enumerated() {
                let chunk = OutputChunk(stream: .output, offset: Int64(offset), bytes: [byte])
                try await worker.transport.append([chunk], of: order.run)
            }
            let output = RunOutput(byteCount: Int64(text.count), file: "/var/out.log")
            try await worker.transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0, output: output))
            let terminal = try Terminal()
            #expect(try await terminal.run(control, ["logs", "nightly"]) { _ in } == .exited(0))
            // A terminal writes a line's end as two characters.
            let shown = #"\x1b[2J\#tä\n\#r\#r\#nover\rwritten\x9b6n\u{202e}\#r\#n"#
            #expect(Array(terminal.text.unicodeScalars) == Array(shown.unicodeScalars))
            #expect(try await terminal.run(control, ["logs", "--raw", "nightly"]) { _ in } == .exited(0))
            #expect(terminal.text.hasPrefix("\u{1B}[2J\tä"))
            #expect(try await Array(control("logs", "nightly").output.utf8) == text, "a pipe gets the bytes")
        }
    }

    @Test func `run says on a terminal why its job has not started`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            _ = try await control("pause", "queue:night", "--yes")
            let held = "queue:night is paused; 'interruptctl resume queue:night' lets it start"
            let terminal = try Terminal()
            for (queue, reason) in [("default", "no worker takes jobs from it; 'interruptd' does"), ("night", held)] {
                let words = ["run", "--id", "j", "--queue", queue, "--", "x"]
                let status = try await terminal.run(control, words) { terminal in
                    try await terminal.wait(for: "Queued... (job j, queue \(queue)): \(reason)\r\n")
                    try terminal.type("\u{3}")
                }
                #expect(status == .exited(130))
            }
        }
    }

    @Test func `why a run was interrupted is said where no person watches, too`() async throws {
        try await withWorker { control, _, worker async throws in
            async let attached = control("run", "--id", "nightly", "--", "x")
            _ = try await firstOrder(worker)
            async let waiting = control("wait", "nightly")
            _ = try await control("cancel", "nightly", "--reason", "timeout", "--message", "wrong\u{1B}branch")
            let run = try await attached
            #expect(run.status == 124)
            #expect(run.error.hasPrefix("⏹ Command interrupted (reason timeout, stage terminate, SIGTERM, in "))
            #expect(run.error.hasSuffix(#"): wrong\x1bbranch\#n"#))
            #expect(try await waiting.output.hasSuffix(#"): wrong\x1bbranch\#n"#))
        }
    }

    @Test func `a connection that was lost while nobody used it does not hide how the job ended`() async throws {
        try await withWorker { control, redis, worker async throws in
            async let attached = control("run", "--", "x")
            let order = try await firstOrder(worker)
            func connections() async throws -> [Substring] {
                let list = try await redis.command("CLIENT", "LIST").text ?? ""
                return list.split(separator: "\n").filter { $0.contains(" name= ") && !$0.contains("cmd=client") }
            }
            try await eventually("the output is waited for") {
                try await connections().contains { $0.contains("cmd=xread") }
            }
            for connection in try await connections() {
                let id = connection.split(separator: " ")[0].dropFirst("id=".count)
                try await redis.command("CLIENT", "KILL", "ID", String(id))
            }
            try await worker.transport.end(order.run, as: RunEnding(state: .failed, exitCode: 7))
            let result = try await attached
            #expect(result.status == 7, "\(result)")
            #expect(!result.error.contains("error:"))
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

    @Test func `what an ended run wrote may have gone from Redis before its record: logs -f ends all the same`()
        async throws
    {
        try await withWorker { control, redis, worker async throws in
            _ = try await control("submit", "--id", "nightly", "--", "x")
            let order = try await firstOrder(worker)
            var ending = RunEnding(state: .completed, exitCode: 0)
            ending.output = RunOutput(byteCount: 7, file: "/var/nightly.log")
            try await worker.transport.end(order.run, as: ending)
            try await redis.command("DEL", "interrupt/output/\(order.run)")
            let result = try await control("logs", "-f", "nightly")
            #expect(result.status == 0 && result.output.isEmpty)
            #expect(result.error.contains("7 bytes of the output left out: box:/var/nightly.log"), "\(result.error)")
        }
    }

    @Test func `an ignored Ctrl-C stays ignored, as nohup and a shell's background mean it`() async throws {
        try await withWorker { control, redis, worker async throws in
            let script = "trap '' INT; exec \"$0\" run --id nightly -- x"
            let (result, _) = try await attachedRun(script, redis, worker) { pid, order in
                kill(pid, SIGINT)
                // A later command is answered: what the press could have asked for would be on record.
                #expect(try await control("status", "nightly").output.contains("running"))
                try await worker.transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0))
            }
            #expect(result.status == .exited(0))
            #expect(!result.error.contains("Interrupting"))
        }
    }

    /// Runs the script, with the command as its `$0`, and `body` beside it once a press would be heard.
    private func attachedRun(
        _ script: String,
        _ redis: TestRedis,
        _ worker: TestWorker,
        _ body: (pid_t, RunOrder) async throws -> Void
    ) async throws -> (result: (status: TerminationStatus, error: String), order: RunOrder) {
        let result = try await run(
            .path("/bin/sh"),
            arguments: ["-c", script, Control.path.string],
            environment: Control.environment(redis),
            input: .none,
            output: .discarded,
            error: .string(limit: 65_536)
        ) { execution in
            let order = try await firstOrder(worker)
            try await waitUntilListening(redis)
            try await body(execution.processIdentifier.value, order)
            return order
        }
        return ((result.terminationStatus, result.standardError), result.closureResult)
    }
}
