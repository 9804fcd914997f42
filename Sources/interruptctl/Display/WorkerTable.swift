import InterruptCore
import InterruptRedis

/// Workers as a table.
struct WorkerTable {
    let workers: [WorkerRecord]
    let now: Timestamp

    /// Whether nothing was heard of a worker for longer than it may be silent.
    static func isSilent(_ worker: WorkerRecord, now: Timestamp) -> Bool {
        worker.lease > .zero && now - worker.seenAt > worker.lease
    }

    func lines(on screen: Screen) -> [String] {
        var table = Table(titles: ["WORKER", "HOST", "PID", "RUNS", "SEEN", "UP", "VERSION", "QUEUES", "TREES"])
        table.rows = workers.map { worker in
            let seen = "\((now - worker.seenAt).displayText) ago"
            return [
                screen.shown(worker.name, limit: 128), screen.shown(worker.host, limit: 128), "\(worker.pid)",
                "\(worker.running)/\(worker.slots)",
                Self.isSilent(worker, now: now) ? "silent, \(seen)" : seen,
                (now - worker.startedAt).displayText, screen.shown(worker.version, limit: 40),
                screen.shown(worker.queues, limit: 200), screen.shown(worker.containment, limit: 200),
            ]
        }
        return table.lines(on: screen)
    }

    /// A worker as JSON.
    static func json(_ worker: WorkerRecord, now: Timestamp) -> JSONValue {
        .object([
            "worker": .string(worker.name), "instance": .string(worker.instance), "host": .string(worker.host),
            "pid": .integer(Int64(worker.pid)), "slots": .integer(Int64(worker.slots)),
            "running": .integer(Int64(worker.running)), "version": .string(worker.version),
            "queues": .array(worker.queues.split(separator: " ").map { .string(String($0)) }),
            "heartbeat": .integer(worker.heartbeat), "malformed": .integer(Int64(worker.malformed)),
            "refused_requests": .integer(Int64(worker.refusedRequests)),
            "refused_submissions": .integer(Int64(worker.refusedSubmissions)),
            "outages": .integer(Int64(worker.outages)), "signed_only": .bool(worker.heedsSignedOnly),
            "seen_at": .string(worker.seenAt.rfc3339),
            "started_at": .string(worker.startedAt.rfc3339), "lease_ms": .integer(worker.lease.milliseconds),
            "containment": .string(worker.containment), "silent": .bool(isSilent(worker, now: now)),
        ])
    }
}
