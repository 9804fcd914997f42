import InterruptCore
import InterruptRedis

/// What `pause` and `resume` say.
enum PauseTexts {
    /// The line of one step; of several runs each line names its job.
    static func line(_ step: PauseFollower.Step, of follower: PauseFollower, isOneOfMany: Bool, on screen: Screen)
        -> String
    {
        let text = text(step, of: follower, on: screen)
        return isOneOfMany ? "\(screen.shown(follower.receipt.job)): \(text)" : text
    }

    private static func text(_ step: PauseFollower.Step, of follower: PauseFollower, on screen: Screen) -> String {
        let isPause = follower.action == .pause
        switch step {
        case .recorded: return isPause ? "Pausing..." : "Resuming..."
        case .already:
            if follower.isEnded { return isPause ? "already paused" : "it runs already" }
            return isPause ? "already asked to pause" : "already asked to go on"
        case .confirmed(let time):
            let how = time > .zero ? " (in \(time.displayText))" : ""
            return (isPause ? "Paused: 'interruptctl resume' lets it go on" : "Running again") + how
        case .silent(let worker, let silence):
            return "worker '\(screen.shown(worker))' is silent for \(silence.displayText): "
                + "the request stays on record and is carried out when it is back"
        }
    }

    /// What became of the gate of a wide target.
    static func gate(_ target: InterruptTarget, _ action: PauseRequest.Action, hasChanged: Bool) -> String {
        switch (action, hasChanged) {
        case (.pause, true): "'\(target)' is paused: what is queued stays queued until 'interruptctl resume \(target)'"
        case (.pause, false): "'\(target)' was paused already"
        case (.resume, true): "'\(target)' takes new jobs again"
        case (.resume, false): "'\(target)' was open already"
        }
    }

    /// The failure of one run for stderr and for JSON; `nil` when there is none.
    static func failure(
        of follower: PauseFollower,
        expected: RunID?,
        isWaiting: Bool,
        now: Timestamp,
        waited: Duration
    ) -> CommandFailure? {
        let job = follower.receipt.job.escapedForDisplay(limit: 140)
        let status = follower.status(isWaiting: isWaiting)
        let isPause = follower.action == .pause
        switch status {
        case .done: return nil
        case .noSuchJob:
            return CommandFailure(
                status,
                "no such \(expected == nil ? "job" : "run") '\(job)'. \(StopTexts.nothingRunning)",
                hint: "run 'interruptctl list' to see what there is"
            )
        case .alreadyEnded where follower.receipt.outcome == .replaced:
            let newest = follower.run?.rawValue.escapedForDisplay(limit: 64) ?? "another one"
            let asked = expected?.rawValue.escapedForDisplay(limit: 64) ?? ""
            return CommandFailure(
                status,
                "run \(asked) of job '\(job)' is not its newest: that is \(newest). Nothing was changed.",
                hint: "run 'interruptctl status \(job)'"
            )
        case .alreadyEnded:
            let how = follower.record.map { " (\(OutcomeText.ended($0, now: now)))" } ?? ""
            return CommandFailure(
                status,
                "job '\(job)' has already ended\(how). \(StopTexts.nothingRunning)",
                hint: "run 'interruptctl history \(job)' to see how"
            )
        case .unconfirmed:
            return CommandFailure(
                status,
                "the \(isPause ? "pause" : "resumption") of job '\(job)' is recorded but not confirmed after "
                    + "\(waited.displayText): no worker has carried it out",
                hint: "it is carried out when the worker is back; ask again with 'interruptctl status \(job)', "
                    + "take it back with 'interruptctl \(isPause ? "resume" : "pause") \(job)'"
            )
        case .failed: return refusal(of: follower, job, isPause: isPause)
        case .usage, .unavailable, .notPermitted, .ownTrouble: return CommandFailure(status, "job '\(job)'")
        }
    }

    private static func refusal(of follower: PauseFollower, _ job: String, isPause: Bool) -> CommandFailure {
        let queue = follower.record?.queue.escapedForDisplay(limit: 140) ?? "NAME"
        switch follower.receipt.outcome {
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
