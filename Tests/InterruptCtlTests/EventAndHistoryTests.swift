import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Events and history` {
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
