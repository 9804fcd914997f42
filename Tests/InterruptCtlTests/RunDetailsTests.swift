import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Everything about one run` {
    let now = Timestamp(milliseconds: 65_000)

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

    @Test func `a request that nobody has taken in is open, or was missed, as the run goes on or not`() {
        for (state, text) in [(RunState.running, "not yet"), (.lost, "never")] {
            let details = RunDetails(
                record: makeRecord(state: state),
                worker: nil,
                request: InterruptSignal(stage: .terminate),
                lastLine: nil,
                now: now
            )
            #expect(details.lines(on: Screen()).contains("Stage:       2 terminate, \(text) acknowledged"))
        }
    }

    @Test(arguments: [
        (["paused_by": "ann"], RunState.running, true, String?("asked for by ann, not yet carried out")),
        (["paused_by": "ann"], .running, false, nil),
        (["paused_by": "ann", "paused_at_ms": "60000"], .paused, true, "5.0s ago by ann"),
        (
            ["paused_by": "ann", "paused_at_ms": "60000"], .paused, false,
            "5.0s ago by ann; asked to go on, not yet carried out"
        ),
        (["paused_by": "ann", "paused_ms": "3000"], .running, false, "for 3.0s in all"),
    ])
    func `a pause is shown from the request on, and its end too`(
        fields: [String: String],
        state: RunState,
        isPauseRequested: Bool,
        text: String?
    ) {
        let details = RunDetails(
            record: makeRecord(fields, state: state),
            worker: nil,
            request: nil,
            isPauseRequested: isPauseRequested,
            lastLine: nil,
            now: now
        )
        let line = details.lines(on: Screen()).first { $0.hasPrefix("Paused:") }
        #expect(line.map { $0.drop { $0 != " " }.drop { $0 == " " } } == text?[...])
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
}
