import InterruptCore
import InterruptJSON

@testable import InterruptRedis

/// A run's record as HGETALL would answer it.
func makeRecord(_ fields: [String: String] = [:], state: RunState = .running) -> RunRecord {
    var all = [
        "v": "1", "run": "r0123456789abcdefghi", "job": "nightly", "state": state.rawValue, "queue": "default",
        "command": "make\0all", "submitted_at_ms": "1000", "started_at_ms": "2000", "worker": "alpha",
    ]
    all.merge(fields) { $1 }
    let reply = all.flatMap { [RESPValue.bulk(Array($0.key.utf8)), .bulk(Array($0.value.utf8))] }
    return RunRecord(reply: .array(reply))!
}

/// A worker's record that was last seen at `seenAt` milliseconds.
func makeWorker(seenAt: Int64, lease: Int64 = 30_000, signedOnly: Bool = false) -> WorkerRecord {
    var fields = [
        "instance": "i1", "host": "box", "pid": "42", "slots": "4", "running": "1", "version": "0.1.0",
        "queues": "default", "containment": "cgroups", "seen_at_ms": "\(seenAt)", "started_at_ms": "0",
        "lease_ms": "\(lease)",
    ]
    if signedOnly { fields["signed_only"] = "1" }
    let reply = fields.flatMap { [RESPValue.bulk(Array($0.key.utf8)), .bulk(Array($0.value.utf8))] }
    return WorkerRecord(name: "alpha", reply: .array(reply))!
}

/// What the interrupt script answers for one run.
func makeReceipt(
    _ outcome: InterruptReceipt.Outcome,
    job: String = "nightly",
    run: String = "r0123456789abcdefghi",
    state: RunState? = .running,
    inForce: InterruptSignal? = nil
) -> InterruptReceipt {
    let isMissing = outcome == .missing
    let record = inForce.map { SignalMessage(flag: $0).json } ?? []
    return InterruptReceipt(
        reply: .array([
            .bulk(Array(outcome.rawValue.utf8)), .bulk(Array((isMissing ? "" : run).utf8)),
            .bulk(Array(job.utf8)), .bulk(Array((isMissing ? "" : state?.rawValue ?? "").utf8)), .bulk(record),
        ])
    )!
}

/// An entry of the history as XRANGE would answer it.
func entry(_ fields: [String: String]) throws -> HistoryEntry {
    let values = fields.flatMap { [RESPValue.bulk(Array($0.key.utf8)), .bulk(Array($0.value.utf8))] }
    return HistoryEntry(reply: .array([.bulk(Array("1-0".utf8)), .array(values)]))!
}
