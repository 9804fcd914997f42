import InterruptCore
import InterruptRedis

/// Why a run has not started yet, as far as this can be seen from outside.
struct QueuedText {
    let record: RunRecord
    /// What is paused and keeps it from starting.
    let holder: InterruptTarget?
    /// All workers; `nil` when they cannot be asked for.
    let workers: [WorkerRecord]?
    let now: Timestamp

    func line(on screen: Screen) -> String {
        let head = "Queued... (job \(screen.shown(record.job)), queue \(screen.shown(record.queue)))"
        return reason(on: screen).map { "\(head): \($0)" } ?? head
    }

    /// What is to be done about a target that is paused.
    static func held(by holder: InterruptTarget) -> String {
        "\(holder) is paused; 'interruptctl resume \(holder)' lets it start"
    }

    private func reason(on screen: Screen) -> String? {
        if let holder { return Self.held(by: holder) }
        guard let workers else { return nil }
        let isServed = workers.contains { worker in
            worker.queues.split(separator: " ").contains { $0 == record.queue }
                && !WorkerTable.isSilent(worker, now: now)
        }
        // How much a worker runs is on record only with its next sign of life.
        if isServed { return "its turn has not come; 'interruptctl list --state running' shows what runs" }
        let options = record.queue == "default" ? "" : " --queue \(screen.shown(record.queue))"
        return "no worker takes jobs from it" + (record.handler == nil ? "; 'interruptd\(options)' does" : "")
    }
}
