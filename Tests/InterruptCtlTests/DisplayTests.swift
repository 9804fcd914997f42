import ArgumentParser
import Glibc
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

    @Test func `the detail of a run names everything, aligned`() {
        let record = makeRecord(
            [
                "stage": "2", "reason": "user_cancelled", "message": "wrong\nbranch", "triggered_by": "ann@box",
                "requested_at_ms": "5000", "acknowledged_at_ms": "5003", "via": "push", "pid": "77",
                "timeout_ms": "120000", "grace_ms": "90000", "cwd": "/srv",
            ],
            state: .cancelling
        )
        let details = RunDetails(
            record: record,
            worker: makeWorker(seenAt: 64_000),
            request: nil,
            lastLine: "file 17\u{1B}[2J",
            now: now
        )
        #expect(
            details.lines(on: Screen()) == [
                "Job:          nightly", "Run:          r0123456789abcdefghi",
                "State:        cancelling  ⏹ Interrupting...", "Command:      make all", "Directory:    /srv",
                "Queue:        default", "Worker:       alpha on box",
                "Process:      pid 77", "Submitted:    1970-01-01T00:00:01.000Z",
                "Started:      1970-01-01T00:00:02.000Z", "Elapsed:      1m 3s", "Deadline:     in 57.0s",
                "Interrupted:  user_cancelled", "Stage:        2 terminate", #"Message:      wrong\nbranch"#,
                "Asked by:     ann@box", "Asked at:     1970-01-01T00:00:05.000Z",
                "Acknowledged: after 3 ms via push", "Forced:       in 30.0s", #"Last output:  file 17\x1b[2J"#,
            ]
        )
    }

    @Test(arguments: [
        (RunState.queued, InterruptStage?.none, "queued  Queued..."), (.running, nil, "running  Running..."),
        (.running, .drain, "running  Running..."), (.running, .terminate, "running  ⏹ Interrupting..."),
        (.paused, nil, "paused  Paused"), (.cancelling, .kill, "cancelling  ⏹ Interrupting..."),
        (.completed, .terminate, "completed  ✓ Command completed successfully"),
    ])
    func `the state of a run says what goes on, from the request on`(
        state: RunState,
        asked: InterruptStage?,
        text: String
    ) {
        let details = RunDetails(
            record: makeRecord(state: state),
            worker: nil,
            request: asked.map { InterruptSignal(stage: $0) },
            lastLine: nil,
            now: now
        )
        let line = details.lines(on: Screen()).first { $0.hasPrefix("State:") }
        #expect(line?.drop { $0 != " " }.drop { $0 == " " } == text[...])
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

    @Test func `history lines say who, why and how fast`() throws {
        let ended = try entry([
            "at_ms": "1000", "event": "ended", "job": "nightly", "state": "interrupted", "reason": "user_cancelled",
            "stage": "2", "term_signal": "15", "latency_ms": "401", "triggered_by": "ann@box", "message": "a\u{1B}b",
        ])
        #expect(
            HistoryLine.of(ended, on: Screen())
                == #"1970-01-01 00:00:01  ended  nightly  Interrupted: user_cancelled, terminate, SIGTERM, in 401 ms, by ann@box, "a\x1bb""#
        )
        let failed = try entry([
            "at_ms": "1000", "event": "ended", "job": "nightly", "state": "failed", "exit_code": "2",
            "last_output": "file 17: corrupt",
        ])
        #expect(
            HistoryLine.of(failed, on: Screen())
                == #"1970-01-01 00:00:01  ended  nightly  failed, exit code 2, last output "file 17: corrupt""#
        )
        let submitted = try entry([
            "at_ms": "1000", "event": "submitted", "job": "nightly", "queue": "q", "handler": "resize",
        ])
        #expect(HistoryLine.of(submitted, on: Screen()).hasSuffix("submitted  nightly  queue q, handler resize"))
        let holdout = try entry([
            "at_ms": "1000", "event": "holdout", "job": "nightly", "section": "", "checkpoint": "c",
            "elapsed_ms": "1000",
        ])
        #expect(
            HistoryLine.of(holdout, on: Screen())
                .hasSuffix("cannot be interrupted yet: asked 1.0s ago, last checkpoint 'c'")
        )
        let acknowledged = try entry([
            "at_ms": "1000", "event": "acknowledged", "job": "nightly", "stage": "2", "via": "push", "latency_ms": "0",
            "worker": "alpha",
        ])
        #expect(
            HistoryLine.of(acknowledged, on: Screen())
                == "1970-01-01 00:00:01  acknowledged  nightly  terminate, via push, in 0 ms, worker alpha"
        )
    }

    @Test func `a reason that is not one of the seven is shown as custom, and stays what it is in JSON`() throws {
        let record = makeRecord(["reason": "cosmic_ray", "stage": "2"], state: .interrupted)
        let details = RunDetails(record: record, worker: nil, request: nil, lastLine: nil, now: now)
        #expect(details.lines(on: Screen()).contains("Interrupted: custom (cosmic_ray)"))
        #expect(record.json.line.contains(#""reason":"cosmic_ray""#))
        for (event, text) in [("requested", "custom (cosmic_ray)"), ("ended", "Interrupted: custom (cosmic_ray)")] {
            let entry = try entry(["event": event, "job": "j", "state": "interrupted", "reason": "cosmic_ray"])
            #expect(HistoryLine.of(entry, on: Screen()).hasSuffix("  \(text)"))
            #expect(entry.json.line.contains(#""reason":"cosmic_ray""#))
        }
    }

    @Test func `the last line is the last one with anything in it`() {
        let chunks = ["one\ntw", "o\nthree\n\n"].map { text in
            OutputEntry.chunk(OutputChunk(stream: .output, offset: 0, bytes: Array(text.utf8)))
        }
        #expect(LastLine.of(chunks) == "three")
        #expect(LastLine.of([chunks[0]]) == "tw")
        #expect(LastLine.of([.end(.completed)]) == nil)
    }

    @Test func `what is missing of the output is counted, an overlap is not`() {
        var gaps = OutputGaps()
        func chunk(_ offset: Int64, _ count: Int) -> OutputChunk {
            OutputChunk(stream: .output, offset: offset, bytes: Array(repeating: 65, count: count))
        }
        gaps.copied(chunk(0, 10))
        gaps.copied(chunk(10, 5))
        #expect(gaps.missing(of: nil) == 0 && gaps.summary(of: makeRecord(), on: Screen()) == nil)
        gaps.copied(chunk(115, 5))
        gaps.copied(chunk(118, 2))
        #expect(gaps.missing(of: nil) == 100)
        let ended = makeRecord(["output_bytes": "150", "output_file": "/var/r1.log"], state: .completed)
        #expect(
            gaps.summary(of: ended, on: Screen())
                == "… 130 bytes of the output left out: /var/r1.log on worker 'alpha' has everything"
        )
        #expect(
            gaps.summary(of: makeRecord(), on: Screen())
                == "… 100 bytes of the output left out: the run's file on worker 'alpha' has what is kept"
        )
        var rotated = ["output_bytes": "150", "output_file": "/no/r1.log", "output_kept_from": "70"]
        #expect(
            gaps.summary(of: makeRecord(rotated, state: .completed), host: "far", on: Screen())
                == "… 130 bytes of the output left out: far:/no/r1.log on worker 'alpha' and the one before, with .1 at "
                + "the end, have what is from byte 70 on"
        )
        rotated["output_kept_from"] = "0"
        var here = [CChar](repeating: 0, count: 256)
        gethostname(&here, 255)
        let host = String(decoding: here.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        #expect(
            gaps.summary(of: makeRecord(rotated, state: .completed), host: host, on: Screen())
                == "… 130 bytes of the output left out: \(host):/no/r1.log on worker 'alpha' has been removed"
        )
        let notKept = makeRecord(["output_bytes": "120"], state: .completed)
        #expect(gaps.summary(of: notKept, on: Screen()) == "… 100 bytes of the output left out")
    }

    @Test func `a run of a handler shows it, how far it is, and why it holds out`() {
        let fields = [
            "handler": "resize", "input": "{\"a\":\"\u{1B}\"}", "progress": "0.2500", "progress_message": "a\u{1B}.png",
            "progress_at_ms": "12000",
        ]
        let record = makeRecord(fields)
        let details = RunDetails(
            record: record,
            worker: nil,
            request: nil,
            lastLine: nil,
            now: Timestamp(milliseconds: 22_000)
        )
        let lines = details.lines(on: Screen())
        #expect(lines.contains("Handler:   resize"))
        #expect(lines.contains(#"Input:     {"a":"\x1b"}"#))
        // Started at 2 s, a quarter at 12 s: 30 s more from then on.
        #expect(lines.contains(#"Progress:  25 %  a\x1b.png  (about 20.0s left)"#))
        #expect(!lines.contains { $0.hasPrefix("Command") })
        let table = RunTable(records: [record], now: now).lines(on: Screen())
        #expect(table.last?.contains("running 25 %") == true && table.last?.contains("handler resize") == true)

        let asked = [
            "stage": "2", "holdout_section": "load\nit", "holdout_checkpoint": "c", "holdout_since_ms": "60000",
        ]
        let holding = makeRecord(fields.merging(asked) { $1 }, state: .cancelling)
        let held = RunDetails(record: holding, worker: nil, request: nil, lastLine: nil, now: now).lines(on: Screen())
        #expect(held.last == #"Holdout:   cannot be interrupted yet: in 'load\nit' for 5.0s, last checkpoint 'c'"#)
        #expect(!held.contains { $0.hasPrefix("Progress") && $0.contains("left") })
        #expect(OutcomeText.exitStatus(makeRecord(["handler": "a", "error": "broken"], state: .failed)) == 1)
    }

    @Test func `an event shows progress and holdouts, and no number that is none`() throws {
        func event(_ members: String) throws -> RunEvent {
            let text = #"{"event":"progress","job":"a","run":"r0123456789","state":"running","at_ms":5\#(members)}"#
            return try #require(RunEvent(payload: Array(text.utf8)))
        }
        let told = try event(#","progress":0.25,"progress_message":"a\u001b","elapsed_ms":10000"#)
        let line = EventLine.of(told, on: Screen())
        #expect(line == #"1970-01-01 00:00:00  a  r0123456  progress  running  25 %  a\x1b  (about 30.0s left)"#)
        #expect(told.json.line.contains(#""eta_ms":30000"#) && told.json.line.contains(#""progress":0.25"#))
        for number in ["-1", "7"] { #expect(try event(#","progress":\#(number)"#).workProgress == nil) }
        let holdout = try #require(
            RunEvent(
                payload: Array(
                    #"{"event":"holdout","job":"a","run":"r","state":"cancelling","section":"s","elapsed_ms":1000}"#
                        .utf8
                )
            )
        )
        #expect(EventLine.of(holdout, on: Screen()).hasSuffix("cannot be interrupted yet: in 's' for 1.0s"))
    }

    @Test func `events that are not events are dropped`() {
        #expect(
            RunEvent(payload: Array(#"{"event":"ended","job":"a","run":"r","state":"completed","at_ms":5}"#.utf8))
                != nil
        )
        for payload in ["", "{", "[]", "1", #"{"event":5}"#, String(repeating: "[", count: 10_000)] {
            #expect(RunEvent(payload: Array(payload.utf8)) == nil)
        }
    }
}
