import Foundation
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis
@testable import interruptctl

/// What stands in a record's fields.
@Suite(.timeLimit(.minutes(10))) struct `Records from elsewhere` {
    /// A record as the scripts write it.
    static let fields = [
        "v": "1", "run": "r0123456789abcdefghi", "job": "nightly", "attempt": "1", "queue": "default", "groups": "a b",
        "command": "make\0all", "cwd": "/srv", "state": "running", "submitted_by": "ops", "worker": "w1",
        "instance": "i1",
        "pid": "42", "stage": "2", "reason": "timeout", "message": "m", "triggered_by": "ops", "request_id": "q",
        "via": "push", "save_checkpoint": "1", "escalated_by": "[{\"stage\":3}]", "grace_ms": "5000",
        "timeout_ms": "60000",
        "submitted_at_ms": "1700000000000", "started_at_ms": "1700000001000", "requested_at_ms": "1700000002000",
        "acknowledged_at_ms": "1700000002001", "confirmed_at_ms": "1700000003000", "ended_at_ms": "1700000003000",
        "paused_at_ms": "1700000002500", "paused_ms": "10", "paused_by": "ops", "charge_paused": "1", "progress": "0.5",
        "progress_message": "p", "progress_at_ms": "1700000001500", "checkpoint": "c", "more_time_ms": "1000",
        "holdout_section": "s", "holdout_checkpoint": "c", "holdout_since_ms": "1700000002000", "survivors": "pid 7",
        "exit_code": "1", "term_signal": "15", "core_dumped": "1", "late_interrupt": "1", "error": "e", "oom": "1",
        "oom_kills": "2", "hook_error": "h", "output_bytes": "100", "output_file": "/x", "output_kept_from": "0",
        "last_output": "l", "max_memory_bytes": "1", "max_cpu_ms": "1", "max_processes": "1", "max_output_bytes": "1",
        "on_interrupt": "true", "on_end": "true", "hook_limit_ms": "1000", "handler": "h", "input": "{}",
    ]

    /// The reply of HGETALL with some values in place of the record's own.
    private static func reply(_ input: [UInt8], _ numbers: inout SeededRandom) -> RESPValue {
        let names = fields.keys.sorted()
        var values = fields.mapValues { Array($0.utf8) }
        for _ in 0...numbers.below(4) {
            let piece = Fuzzing.pieces[numbers.below(Fuzzing.pieces.count)]
            values[names[numbers.below(names.count)]] = numbers.chance(60) ? piece : Array(input.prefix(5_000))
        }
        if numbers.chance(30) { values[names[numbers.below(names.count)]] = nil }
        return .array(names.flatMap { name in values[name].map { [.bulk(Array(name.utf8)), .bulk($0)] } ?? [] })
    }

    @Test func `are runs that can be shown and carried out, or none`() {
        let now = Timestamp(milliseconds: 1_700_000_010_000)
        var fuzzing = Fuzzing(Array(Self.fields.values.sorted()))
        fuzzing.run("a run's record") { input, numbers in
            guard let record = RunRecord(reply: Self.reply(input, &numbers)) else { return .refused }
            _ = (record.remaining(at: now), record.unchargedTime(at: now).displayText, record.moreTime.displayText)
            _ = (record.gracePeriod?.displayText, record.timeout?.displayText, record.limits, record.hooks)
            _ = record.order(environment: nil)
            let holdout = record.holdout(at: now)?.text ?? ""
            let line = record.json.line
            guard (try? JSONDecoder().decode(JSONValue.self, from: Data(line.utf8))) != nil else {
                return .wrong("its JSON cannot be read: \(line.debugDescription)")
            }
            return .accepted(if: line.isOnePlainLine && holdout.isOnePlainLine, line.debugDescription)
        }
    }

    @Test func `are entries of the history and workers that can be shown, or none`() {
        let fields = [
            "at_ms": "1700000000000", "event": "ended", "job": "j", "run": "r", "state": "failed", "stage": "2",
            "reason": "timeout", "message": "m", "triggered_by": "ops", "latency_ms": "12", "exit_code": "1",
            "term_signal": "15",
            "late_interrupt": "1", "elapsed_ms": "100", "checkpoint": "c", "more_time_ms": "5", "section": "s",
        ]
        let events = [
            "submitted", "started", "requested", "acknowledged", "holdout", "checkpoint", "more_time", "ended",
            "gate_closed",
        ]
        let screen = Screen(isPlain: false)
        var fuzzing = Fuzzing(Array(fields.values.sorted()))
        fuzzing.run("an entry of the history") { input, numbers in
            var values = fields.mapValues { Array($0.utf8) }
            values["event"] = Array(events[numbers.below(events.count)].utf8)
            let names = fields.keys.sorted()
            for _ in 0...numbers.below(3) { values[names[numbers.below(names.count)]] = input }
            let reply = names.flatMap { [RESPValue.bulk(Array($0.utf8)), .bulk(values[$0] ?? [])] }
            _ = WorkerRecord(name: "w", reply: .array(reply + [.bulk(Array("instance".utf8)), .bulk(input)]))
            guard let entry = HistoryEntry(reply: .array([.bulk(Array("1-0".utf8)), .array(reply)])) else {
                return .refused
            }
            let line = HistoryLine.of(entry, on: screen)
            return .accepted(
                if: line.isOnePlainLine && entry.json.line.isOnePlainLine,
                line.debugDescription
            )
        }
    }
}
