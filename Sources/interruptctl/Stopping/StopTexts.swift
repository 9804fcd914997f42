import InterruptCore
import InterruptRedis

/// What `cancel`, `drain` and `kill` say.
enum StopTexts {
    static let question = "Are you sure you want to interrupt the running command?"
    static let nothingRunning = "No command is currently running."

    /// The lines of one step; of several runs each line names its job.
    static func lines(_ step: StopFollower.Step, of follower: StopFollower, isOneOfMany: Bool, on screen: Screen)
        -> [String]
    {
        texts(step, of: follower, on: screen).map { isOneOfMany ? "\(screen.shown(follower.job)): \($0)" : $0 }
    }

    private static func texts(_ step: StopFollower.Step, of follower: StopFollower, on screen: Screen) -> [String] {
        let stage = follower.signal.stage
        let sent = "\(screen.sign(.interrupt)) Interrupt signal sent..."
        let details =
            "(stage \(stage.rawValue) \(stage.name), request \(screen.shown(follower.signal.id.rawValue, limit: 130)))"
        switch step {
        case .recorded: return ["\(sent) \(details)"]
        case .escalated: return ["\(sent) \(details), harder than what was asked before"]
        case .alreadyRequested(let stage, let who, let ago):
            let name = who.map { ", by \(screen.shown($0, limit: 80))" } ?? ""
            return ["already requested (stage \(stage.name)\(name), \(ago.displayText) ago)"]
        case .acknowledged(let way, let after):
            let via = way.map { " via \($0.rawValue)" } ?? ""
            return ["acknowledged\(via)" + (after.map { " in \($0.displayText)" } ?? "")]
        case .willFinish: return ["it will finish by itself; nothing new starts"]
        case .holdsOut(let record):
            guard let holdout = record.holdout(at: .now) else { return [] }
            let text = holdout.survivors == nil ? holdout.text : "\(screen.sign(.failure)) not stopped: \(holdout.text)"
            return [screen.fitted(text)]
        case .moreTime(let length):
            let job = screen.shown(follower.job)
            return [
                "it asked for more time and has \(length.displayText) more; 'interruptctl kill \(job)' does not wait"
            ]
        case .silent(let worker, let silence):
            return [
                "worker '\(screen.shown(worker))' is silent for \(silence.displayText): "
                    + "the request stays on record and is applied when it is back"
            ]
        case .neverStarted: return ["\(screen.sign(.interrupt)) Command interrupted before it started"]
        case .confirmed(let record), .tooLate(let record), .lost(let record):
            let hook = record.hookError.map { screen.fitted("warning: \($0.escapedForDisplay(limit: 300))") }
            return [OutcomeText.line(record, on: screen)] + [hook].compactMap(\.self)
        }
    }

    /// The failure of one run for stderr and for JSON; `nil` when there is none.
    static func failure(
        of follower: StopFollower,
        expected: RunID?,
        isWaiting: Bool,
        now: Timestamp,
        waited: Duration
    ) -> CommandFailure? {
        let job = follower.job.escapedForDisplay(limit: 140)
        let status = follower.status(isWaiting: isWaiting)
        switch status {
        case .done: return nil
        case .noSuchJob:
            return CommandFailure(
                status,
                "no such \(expected == nil ? "job" : "run") '\(job)'. \(nothingRunning)",
                hint: "run 'interruptctl list' to see what there is"
            )
        case .alreadyEnded where follower.outcome == .replaced:
            let newest = follower.run?.rawValue.escapedForDisplay(limit: 64) ?? "another one"
            let asked = expected?.rawValue.escapedForDisplay(limit: 64) ?? ""
            return CommandFailure(
                status,
                "run \(asked) of job '\(job)' is not its newest: that is \(newest). Nothing was interrupted.",
                hint: "run 'interruptctl status \(job)'"
            )
        case .alreadyEnded where follower.outcome == .ended:
            let how = follower.record.map { " (\(OutcomeText.ended($0, now: now)))" } ?? ""
            return CommandFailure(
                status,
                "job '\(job)' has already ended\(how). \(nothingRunning)",
                hint: "run 'interruptctl history \(job)' to see how"
            )
        case .alreadyEnded:
            let how = follower.record.map { $0.state.rawValue } ?? "ended"
            return CommandFailure(status, "job '\(job)' \(how) by itself before the interrupt could act")
        case .unconfirmed:
            if let survivors = follower.record?.holdout(at: now), survivors.survivors != nil {
                return CommandFailure(
                    status,
                    "Failed to interrupt command: \(survivors.text)",
                    hint: "the request stays open and is confirmed once they have ended: "
                        + "'interruptctl status \(job)' tells"
                )
            }
            let known = follower.needsReceipt ? "no worker has acknowledged it" : "it is acknowledged"
            let why = follower.needsReceipt ? "it is applied when the worker is back" : "the worker is still at it"
            let harder = "or harder with 'interruptctl kill \(job)'"
            let holdout = follower.record?.holdout(at: now).map { "it \($0.text)" }
            return CommandFailure(
                status,
                "the interrupt of job '\(job)' is recorded but not confirmed after \(waited.displayText): \(known)",
                hint: "\(holdout ?? why); ask again with 'interruptctl status \(job)', "
                    + (holdout == nil ? harder : "at the latest it ends with its worker's process")
            )
        case .failed:
            let why = follower.record?.error.map { ": " + $0.escapedForDisplay(limit: 300) } ?? ""
            let pid = follower.record?.pid.map { " (pid \($0))" } ?? ""
            return CommandFailure(
                status,
                "Failed to interrupt command: job '\(job)'\(pid) was lost with its worker\(why)",
                hint: "nothing starts it again by itself: 'interruptctl submit' does"
            )
        case .usage, .unavailable, .notPermitted, .ownTrouble: return CommandFailure(status, "job '\(job)'")
        }
    }
}
