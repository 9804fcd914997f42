/// The states of a run. Nothing else writes a state, and an end is final.
public enum RunState: String, CaseIterable, Sendable {
    /// In the queue, not yet claimed. May become running, interrupted, failed.
    case queued
    /// Claimed by a worker. May become paused, cancelling or any end.
    case running
    /// Frozen. May become running, cancelling or any end.
    case paused
    /// Its worker has acknowledged an interrupt of stage 2 or harder. May become any end.
    case cancelling
    /// Ended by itself with exit status 0.
    case completed
    /// Ended by itself otherwise, or never got to run.
    case failed
    /// Ended because it was asked to.
    case interrupted
    /// Proven or decided to be gone, with no outcome known.
    case lost

    /// Whether the run is over.
    public var isEnd: Bool {
        switch self {
        case .queued, .running, .paused, .cancelling: false
        case .completed, .failed, .interrupted, .lost: true
        }
    }

    /// Whether the table of states allows this step.
    public func canBecome(_ next: RunState) -> Bool {
        switch (self, next) {
        case (.queued, .running), (.queued, .interrupted), (.queued, .failed): true
        case (.running, .paused), (.paused, .running): true
        case (.running, .cancelling), (.paused, .cancelling): true
        case (.running, _), (.paused, _), (.cancelling, _): next.isEnd
        default: false
        }
    }
}
