import InterruptCore
import InterruptRedis

/// Runs as a table.
struct RunTable {
    let records: [RunRecord]
    let now: Timestamp

    func lines(on screen: Screen) -> [String] {
        var table = Table(titles: ["JOB", "RUN", "STATE", "QUEUE", "WORKER", "TIME", "COMMAND"])
        table.rows = records.map { record in
            [
                screen.shown(record.job, limit: 128),
                screen.shown(String(record.run.rawValue.prefix(8))),
                state(record),
                screen.shown(record.queue, limit: 128),
                record.worker.map { screen.shown($0, limit: 128) } ?? "-",
                RunTimes(record, now: now).elapsed?.displayText ?? "-",
                screen.shown(record.workText, limit: 400),
            ]
        }
        return table.lines(on: screen)
    }

    private func state(_ record: RunRecord) -> String {
        switch record.stage {
        case nil where record.state == .running:
            record.progress.map { "running \($0.percentText)" } ?? record.state.rawValue
        case .drain where record.state == .running: "running (drain)"
        default: record.state.rawValue
        }
    }
}

/// How long a run has taken so far, or took.
struct RunTimes {
    /// Since it started, or since it was submitted while it is queued.
    let elapsed: Duration?
    /// Until its timeout.
    let untilTimeout: Duration?

    init(_ record: RunRecord, now: Timestamp) {
        let end = record.endedAt ?? now
        elapsed = (record.startedAt ?? record.submittedAt).map { end - $0 }
        if let timeout = record.timeout, let started = record.startedAt, !record.state.isEnd {
            untilTimeout = timeout - (now - started - record.unchargedTime(at: now))
        } else {
            untilTimeout = nil
        }
    }
}
