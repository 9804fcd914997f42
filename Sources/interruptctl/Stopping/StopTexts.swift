import InterruptCore
import InterruptRedis

/// What `cancel`, `drain` and `kill` say.
extension StopFollower {
    private var nothingRunning: String {
        "No \(signal.stage == .kill ? "execution" : "command") is currently running."
    }

    func lines(_ step: Step, on screen: Screen) -> [String] {
        let stage = signal.stage
        let sent = "\(screen.sign(.interrupt)) Interrupt signal sent..."
        let details =
            "(stage \(stage.rawValue) \(stage.name), request \(screen.shown(signal.id.rawValue, limit: 130)))"
        switch step {
        case .recorded: return ["\(sent) \(details)"]
        case .replicated(let replication):
            if !replication.isShort { return [replication.text] }
            return ["\(replication.text): until they have it, a fail-over loses the request"]
        case .recordedAgain: return ["Redis had lost the request; it is on record again"]
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
            let name = screen.shown(job)
            return [
                "it asked for more time and has \(length.displayText) more; 'interruptctl kill \(name)' does not wait"
            ]
        case .neverStarted: return ["\(screen.sign(.interrupt)) Command interrupted before it started"]
        case .confirmed(let record), .tooLate(let record), .lost(let record):
            let hook = record.hookError.map { screen.fitted("warning: \($0.escapedForDisplay(limit: 300))") }
            return [OutcomeText.line(record, on: screen)] + [hook].compactMap(\.self)
        }
    }

    func failure(expected: RunID?, isWaiting: Bool, now: Timestamp, waited: Duration) -> CommandFailure? {
        let job = job.escapedForDisplay(limit: 140)
        let status = status(isWaiting: isWaiting)
        switch status {
        case .done: return nil
        case .noSuchJob: return .missing(job, expected: expected, effect: nothingRunning)
        case .alreadyEnded where outcome == .replaced:
            return .notNewest(job, expected: expected, newest: run, effect: "Nothing was interrupted.")
        case .alreadyEnded where outcome == .ended: return .ended(job, record, now: now, effect: nothingRunning)
        case .alreadyEnded:
            let how = record.map { $0.state.rawValue } ?? "ended"
            return CommandFailure(status, "job '\(job)' \(how) by itself before the interrupt could act")
        case .unconfirmed where isEndedUnseen:
            return CommandFailure(
                status,
                "the interrupt of job '\(job)' is recorded but not confirmed: Redis had forgotten that it was started",
                hint: "its worker ends it when it is connected again: see that one's log"
            )
        case .unconfirmed where !isWaiting || outcome == .stopped:
            let what = outcome == .stopped ? "the end of queued job '\(job)' is" : "the interrupt of job '\(job)' is"
            return replication?.shortage(of: "\(what) recorded")
        case .unconfirmed:
            if let survivors = record?.holdout(at: now), survivors.survivors != nil {
                return CommandFailure(
                    status,
                    "Failed to interrupt command: \(survivors.text)",
                    hint: "the request stays open and is confirmed once they have ended: "
                        + "'interruptctl status \(job)' tells"
                )
            }
            let known = needsReceipt ? "no worker has acknowledged it" : "it is acknowledged"
            let why = needsReceipt ? "it is applied when the worker is back" : "the worker is still at it"
            let harder = signal.stage == .kill ? "" : ", or harder with 'interruptctl kill \(job)'"
            let holdout = record?.holdout(at: now).map { "it \($0.text)" }
            return CommandFailure(
                status,
                "the interrupt of job '\(job)' is recorded but not confirmed after \(waited.displayText): \(known)",
                hint: "\(holdout ?? why); ask again with 'interruptctl status \(job)'"
                    + (holdout == nil ? harder : ", at the latest it ends with its worker's process")
            )
        case .failed where isLost:
            return CommandFailure(
                status,
                "Failed to interrupt command: Redis had lost the request, and job '\(job)' is tried again",
                hint: "ask again"
            )
        case .failed where isGone:
            return CommandFailure(
                status,
                "Failed to interrupt command: the record of job '\(job)' is gone from Redis, and the request with it",
                hint: "its worker may still run it: see that one's log"
            )
        case .failed:
            let why = record?.error.map { ": " + $0.escapedForDisplay(limit: 300) } ?? ""
            let pid = record?.pid.map { " (pid \($0))" } ?? ""
            return CommandFailure(
                status,
                "Failed to interrupt command: job '\(job)'\(pid) was lost with its worker\(why)",
                hint: "nothing starts it again by itself: 'interruptctl submit' does"
            )
        case .usage, .unavailable, .notPermitted, .ownTrouble: return CommandFailure(status, "job '\(job)'")
        }
    }
}
