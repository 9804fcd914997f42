import InterruptCore
import InterruptRedis

/// What `pause` and `resume` say.
enum PauseTexts {
    /// What became of the gate of a wide target.
    static func gate(_ target: InterruptTarget, _ action: PauseRequest.Action, hasChanged: Bool) -> String {
        switch (action, hasChanged) {
        case (.pause, true): "'\(target)' is paused: what is queued stays queued until 'interruptctl resume \(target)'"
        case (.pause, false): "'\(target)' was paused already"
        case (.resume, true): "'\(target)' takes new jobs again"
        case (.resume, false): "'\(target)' was open already"
        }
    }
}

extension PauseFollower {
    private var isPause: Bool { action == .pause }

    func lines(_ step: Step, on screen: Screen) -> [String] { [line(step)] }

    private func line(_ step: Step) -> String {
        switch step {
        case .recorded: return isPause ? "Pausing..." : "Resuming..."
        case .already:
            if isEnded { return isPause ? "already paused" : "it runs already" }
            return isPause ? "already asked to pause" : "already asked to go on"
        case .confirmed(let time):
            let how = time > .zero ? " (in \(time.displayText))" : ""
            let name = receipt.job.escapedForDisplay(limit: 140)
            return (isPause ? "Paused: 'interruptctl resume \(name)' lets it go on" : "Running again") + how
        }
    }

    func failure(expected: RunID?, isWaiting: Bool, now: Timestamp, waited: Duration) -> CommandFailure? {
        let job = receipt.job.escapedForDisplay(limit: 140)
        let status = status(isWaiting: isWaiting)
        switch status {
        case .done: return nil
        case .noSuchJob: return .missing(job, expected: expected, effect: "No command is currently running.")
        case .alreadyEnded where receipt.outcome == .replaced:
            return .notNewest(job, expected: expected, newest: run, effect: "Nothing was changed.")
        case .alreadyEnded: return .ended(job, record, now: now, effect: "No command is currently running.")
        case .unconfirmed:
            return CommandFailure(
                status,
                "the \(isPause ? "pause" : "resumption") of job '\(job)' is recorded but not confirmed after "
                    + "\(waited.displayText): no worker has carried it out",
                hint: "it is carried out when the worker is back; ask again with 'interruptctl status \(job)', "
                    + "take it back with 'interruptctl \(isPause ? "resume" : "pause") \(job)'"
            )
        case .failed: return refusal(job)
        case .usage, .unavailable, .notPermitted, .ownTrouble: return CommandFailure(status, "job '\(job)'")
        }
    }

    private func refusal(_ job: String) -> CommandFailure {
        let queue = record?.queue.escapedForDisplay(limit: 140) ?? "NAME"
        switch receipt.outcome {
        case .queued where isPause:
            return CommandFailure(
                .failed,
                "job '\(job)' is queued, and only what runs can be paused",
                hint: "run 'interruptctl pause queue:\(queue)' to let nothing of its queue start"
            )
        case .queued:
            return CommandFailure(
                .failed,
                "job '\(job)' is queued, not paused",
                hint: "if its queue is paused, 'interruptctl resume queue:\(queue)' lets it start"
            )
        case .handler:
            return CommandFailure(
                .failed,
                "job '\(job)' is a function of its worker's own process, which cannot be \(isPause ? "paused" : "resumed")",
                hint: "run 'interruptctl cancel \(job)' to stop it"
            )
        case .cancelling, .recorded, .already, .withdrawn, .ended, .missing, .replaced:
            return CommandFailure(
                .failed,
                "job '\(job)' is being interrupted, and cannot be \(isPause ? "paused" : "resumed") any more",
                hint: "run 'interruptctl status \(job)' to see how far it is"
            )
        }
    }
}
