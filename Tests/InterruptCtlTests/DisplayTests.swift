import ArgumentParser
import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Tables and texts` {
    let now = Timestamp(milliseconds: 65_000)

    @Test func `a table of short cells is as narrow as they are`() {
        let record = makeRecord(["exit_code": "0", "ended_at_ms": "5000"], state: .completed)
        #expect(
            RunTable(records: [record], now: now).lines(on: Screen()) == [
                "JOB      RUN       STATE      QUEUE    WORKER  TIME  COMMAND",
                "nightly  r0123456  completed  default  alpha   3.0s  make all",
            ]
        )
    }

    @Test func `a table never is wider than 80 columns, whatever is in it`() {
        let long = String(repeating: "x", count: 128)
        let record = makeRecord([
            "job": long, "queue": long, "worker": long, "command": "find\0" + String(repeating: "語", count: 200),
            "stage": "1",
        ])
        for screen in [Screen(), Screen(isPlain: true)] {
            let lines = RunTable(records: [record, makeRecord()], now: now).lines(on: screen)
            #expect(lines.allSatisfy { DisplayWidth.of($0) <= 80 })
            #expect(lines.allSatisfy { !$0.hasSuffix(" ") })
        }
        #expect(
            WorkerTable(workers: [makeWorker(seenAt: 1_000)], now: now).lines(on: Screen()).allSatisfy {
                $0.count <= 80
            }
        )
    }

    @Test func `workers say when they were last seen`() {
        #expect(
            WorkerTable(workers: [makeWorker(seenAt: 1_000)], now: now).lines(on: Screen())
                == [
                    "WORKER  HOST  PID  RUNS  SEEN               UP     VERSION  QUEUES   TREES",
                    "alpha   box   42   1/4   silent, 1m 4s ago  1m 5s  0.1.0    default  cgroups",
                ]
        )
        #expect(WorkerTable.json(makeWorker(seenAt: 1_000), now: now).line.contains(#""malformed":0"#))
    }

    @Test func `at most twenty runs are listed before the question`() {
        let records = (0..<25).map { makeRecord(["run": "r\($0)"]) }
        let lines = TargetPlan.Found(targets: [.all], records: records).lines(on: Screen())
        #expect(lines.count == 22)
        #expect(lines.last == "and 5 more")
    }

    @Test(arguments: [
        (["exit_code": "0"], RunState.completed, "✓ Command completed successfully"),
        (["exit_code": "3"], .failed, "✗ Command failed with exit code 3"),
        (["term_signal": "11", "core_dumped": "1"], .failed, "✗ Command failed: ended by SIGSEGV, core dumped"),
        (
            ["term_signal": "9", "oom": "1", "oom_kills": "3"], .failed,
            "✗ Command failed: out of memory (the kernel ended 3 processes), ended by SIGKILL"
        ),
        (
            ["exit_code": "137", "oom": "1", "oom_kills": "1"], .failed,
            "✗ Command failed with exit code 137, out of memory (the kernel ended a process)"
        ),
        (
            [
                "reason": "user_cancelled", "stage": "2", "term_signal": "15", "requested_at_ms": "5000",
                "confirmed_at_ms": "5401",
            ], .interrupted,
            "⏹ Command interrupted by user (reason user_cancelled, stage terminate, SIGTERM, in 401 ms)"
        ),
        (
            ["reason": "user_cancelled", "stage": "3"], .interrupted,
            "⏹ Execution terminated by user (reason user_cancelled, stage kill)"
        ),
        (["reason": "timeout", "stage": "3"], .interrupted, "⏹ Command interrupted (reason timeout, stage kill)"),
        (["reason": "cosmic_ray"], .interrupted, "⏹ Command interrupted (reason custom (cosmic_ray))"),
        (["error": "host\u{7} gone"], .lost, #"✗ Command lost with its worker: host\x07 gone"#),
        (["pid": "77"], .lost, "✗ Command (pid 77) lost with its worker"),
    ])
    func `the final line says how it ended`(fields: [String: String], state: RunState, line: String) {
        #expect(OutcomeText.line(makeRecord(fields, state: state), on: Screen()) == line)
    }

    @Test func `plain output is ASCII only, also what comes from elsewhere`() {
        let record = makeRecord(["error": "größe"], state: .failed)
        #expect(OutcomeText.line(record, on: Screen(isPlain: true)) == #"[failed] Command failed: gr\u{f6}\u{df}e"#)
        var follower = StopFollower(makeReceipt(.accepted), signal: InterruptSignal(id: RequestID(rawValue: "q")))
        let steps = follower.begin(now: now)
        let lines = follower.lines(steps[0], on: Screen(isPlain: true))
        #expect(lines == ["[stop] Interrupt signal sent... (stage 2 terminate, request q)"])
    }

    @Test(arguments: [
        (["LANG": "C.UTF-8"], true, true, false), (["LANG": "C.UTF-8", "NO_COLOR": "1"], true, false, true),
        (["LANG": "C"], true, true, true), (["LANG": "en_US.utf8", "LC_ALL": "POSIX"], true, true, true),
        (["LANG": "C.UTF-8"], false, false, false), (["LANG": "C.UTF-8", "TERM": "dumb"], true, false, false),
    ])
    func `colour and symbols are only where they belong`(
        environment: [String: String],
        isTerminal: Bool,
        hasColor: Bool,
        isPlain: Bool
    ) throws {
        let options = try DisplayOptions.parse([])
        let screen = Screen(options: options, environment: environment, isTerminal: isTerminal, columns: 100)
        #expect(screen.hasColor == hasColor)
        #expect(screen.isPlain == isPlain)
        #expect(screen.width == (isTerminal ? 100 : 80))
    }

    @Test func `no byte from elsewhere steers the terminal`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let bytes = (0..<20).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = String(decoding: bytes, as: UTF8.self)
            let record = makeRecord(
                [
                    "job": text, "command": text, "message": text, "error": text, "worker": text, "reason": text,
                    "stage": "2",
                ],
                state: .interrupted
            )
            var output = RunTable(records: [record], now: now).lines(on: Screen())
            output += RunDetails(record: record, worker: nil, request: nil, lastLine: text, now: now).lines(
                on: Screen()
            )
            output.append(OutcomeText.line(record, on: Screen()))
            output += UsageText.shown("Error: \(text)").split(separator: "\n").map(String.init)
            for line in output {
                #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
                #expect(line.unicodeScalars.allSatisfy { !(0x202A...0x202E).contains($0.value) })
            }
        }
    }
}
