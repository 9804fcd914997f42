import InterruptCore
import InterruptRedis
import InterruptWorker
import Logging

/// Tells the person at the terminal, or the log, what the worker does.
struct Reporter {
    let logger: Logger
    let description: WorkerDescription
    /// Whether a person reads along: then short lines instead of records.
    let isTerminal: Bool
    /// Whether that person is told what each stage does.
    let isDetailed: Bool
    /// Whether only ASCII is wanted.
    let isPlain: Bool
    var write: @Sendable (String) -> Void = { StandardError.write($0) }

    @Sendable
    func report(_ event: WorkerEvent) {
        if isTerminal {
            say(TerminalText.lines(event, description, isDetailed: isDetailed, isPlain: isPlain))
        } else {
            record(event)
        }
    }

    /// Says how many runs stay in the queue when the worker takes nothing new.
    func report(waiting count: Int) {
        if isTerminal {
            say([TerminalText.waiting(count)])
        } else {
            logger.notice("queued runs stay in the queue", metadata: ["queued": "\(count)"])
        }
    }

    private func say(_ lines: [String]) {
        let time = Timestamp.now.rfc3339.dropFirst(11).prefix(8)
        for line in lines { write("\(time) \(line)\n") }
    }

    private func record(_ event: WorkerEvent) {
        switch event {
        case .entered:
            let queues = description.queues.map(\.description).joined(separator: " ")
            logger.info("ready", metadata: ["worker": "\(description.name)", "queues": "\(queues)"])
        case .started(let order, let pid):
            logger.info("started", metadata: ["job": "\(order.job)", "run": "\(order.run)", "pid": "\(pid)"])
        case .interrupted(let order, let signal, let way):
            logger.info(
                "interrupted",
                metadata: [
                    "job": "\(order.job)", "run": "\(order.run)", "stage": "\(signal.stage.name)",
                    "reason": "\(signal.reason)", "by": "\(signal.triggeredBy ?? "-")", "via": "\(way.rawValue)",
                    "source": "\(signal.source.rawValue)", "message": "\(signal.message ?? "-")",
                ]
            )
        case .paused(let order, let isPaused):
            logger.info(isPaused ? "paused" : "resumed", metadata: ["job": "\(order.job)", "run": "\(order.run)"])
        case .draining(let order, let time):
            logger.warning(
                "job \(order.job) has been draining for \(time.displayText)",
                metadata: ["run": "\(order.run)"]
            )
        case .holdsOut(let order, let holdout):
            logger.warning("job \(order.job) \(holdout.text)", metadata: ["run": "\(order.run)"])
        case .told(let order, .moreTime(let length)):
            logger.info(
                "more time",
                metadata: ["job": "\(order.job)", "run": "\(order.run)", "by": "\(length.displayText)"]
            )
        case .told(let order, .checkpoint(let text)):
            logger.debug("checkpoint", metadata: ["job": "\(order.job)", "run": "\(order.run)", "at": "\(text)"])
        case .ended(let order, let ending, let cause):
            var metadata: Logger.Metadata = [
                "job": "\(order.job)", "run": "\(order.run)", "state": "\(ending.state.rawValue)",
            ]
            metadata["exit"] = ending.exitCode.map { "\($0)" }
            metadata["signal"] = ending.termSignal.map { "\(SignalName.of($0))" }
            metadata["reason"] = cause.map { "\($0.reason)" }
            metadata["error"] = ending.error.map { "\($0)" }
            logger.log(level: ending.error == nil ? .info : .warning, "ended", metadata: metadata)
        case .stage(let old, let new, let held):
            let line = StageTexts.escalation(from: old, to: new, isPlain: isPlain)
            logger.notice("\(line)", metadata: ["running": "\(held)"])
        }
    }
}

/// What a person at the daemon's terminal reads.
enum TerminalText {
    static func lines(_ event: WorkerEvent, _ worker: WorkerDescription, isDetailed: Bool, isPlain: Bool) -> [String] {
        switch event {
        case .entered:
            let queues = worker.queues.map(\.description).joined(separator: ", ")
            return ["ready: worker \(worker.name), \(worker.slots) at a time from \(queues). Ctrl+C drains and ends"]
        case .started(let order, let pid):
            return ["started \(order.job) (pid \(pid))"]
        case .interrupted(let order, let signal, let way):
            var parts = ["\(signal.stage.name)", signal.reason.displayText]
            if let who = signal.triggeredBy { parts.append("by \(who)") }
            if let message = signal.message { parts.append("\"\(message)\"") }
            parts.append("via \(way.rawValue)")
            return ["interrupted \(order.job): \(parts.joined(separator: ", ").escapedForDisplay())"]
        case .paused(let order, let isPaused):
            return ["\(isPaused ? "paused" : "resumed") \(order.job)"]
        case .draining(let order, let time):
            return ["job \(order.job) has been draining for \(time.displayText)"]
        case .holdsOut(let order, let holdout):
            return ["job \(order.job) \(holdout.text)"]
        case .told(let order, .moreTime(let length)):
            return ["job \(order.job) asked for more time and has \(length.displayText) more"]
        case .told(_, .checkpoint): return []
        case .ended(let order, let ending, _):
            var parts = [ending.state.rawValue]
            if let code = ending.exitCode, code != 0 { parts.append("exit code \(code)") }
            if let signal = ending.termSignal { parts.append(SignalName.of(signal)) }
            if let error = ending.error { parts.append(error) }
            return ["ended \(order.job): \(parts.joined(separator: ", ").escapedForDisplay())"]
        case .stage(let old, let new, let held):
            var lines = [
                "\(StageTexts.announcement(new)) (\(held) running)",
                StageTexts.escalation(from: old, to: new, isPlain: isPlain),
            ]
            if isDetailed {
                lines.append(StageTexts.heading(new))
                lines += StageTexts.details(new).map { "  - \($0)" }
            }
            if held > 0, let hint = StageTexts.hint(after: new) { lines.append(hint) }
            return lines
        }
    }

    /// How many runs stay in the queue when the worker takes nothing new.
    static func waiting(_ count: Int) -> String { "\(count) queued: they stay in the queue" }
}
