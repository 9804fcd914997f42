import Glibc
import InterruptCore
import InterruptWorker
import Logging

/// Tells the person at the terminal, and the log, what the worker does.
struct Reporter {
    let logger: Logger
    let queues: [Name]
    let name: Name

    @Sendable
    func report(_ event: WorkerEvent) {
        switch event {
        case .entered:
            let queues = queues.map(\.description).joined(separator: " ")
            logger.info("ready", metadata: ["worker": "\(name)", "queues": "\(queues)"])
        case .started(let order, let pid):
            logger.info("started", metadata: ["job": "\(order.job)", "run": "\(order.run)", "pid": "\(pid)"])
        case .interrupted(let order, let signal, let way):
            logger.info(
                "interrupted",
                metadata: [
                    "job": "\(order.job)", "run": "\(order.run)", "stage": "\(signal.stage.name)",
                    "reason": "\(signal.reason)", "by": "\(signal.triggeredBy ?? "-")", "via": "\(way.rawValue)",
                    "message": "\(signal.message ?? "-")",
                ]
            )
        case .ended(let order, let ending, let cause):
            var metadata: Logger.Metadata = [
                "job": "\(order.job)", "run": "\(order.run)", "state": "\(ending.state.rawValue)",
            ]
            metadata["exit"] = ending.exitCode.map { "\($0)" }
            metadata["signal"] = ending.termSignal.map { "\($0)" }
            metadata["reason"] = cause.map { "\($0.reason)" }
            metadata["error"] = ending.error.map { "\($0)" }
            logger.log(level: ending.error == nil ? .info : .warning, "ended", metadata: metadata)
        case .stage(let old, let new, let held):
            logger.notice("\(StageTexts.escalation(from: old, to: new))", metadata: ["running": "\(held)"])
            guard isatty(STDERR_FILENO) == 1 else { return }
            StandardError.write("\n\(StageTexts.announcement(new)) (\(held) running)\n")
            if let hint = StageTexts.hint(after: new), held > 0 { StandardError.write("\(hint)\n") }
        }
    }
}
