/// What in-process work is doing, as a scope tells those who watch. An end is final.
public enum WorkStatus: String, CaseIterable, Sendable {
    /// At work. May become anything but `started`.
    case started
    /// Waits for something else. May become started, cancelling or any end.
    case awaiting
    /// Waits for a person. May become started, cancelling or any end.
    case humanIntervention = "human_intervention"
    /// Failed, and waits to try again. May become started, cancelling or any end.
    case retrying
    /// At work again after a failure, from what an earlier attempt has left. May become anything but `started` and
    /// `recovered`.
    case recovered
    /// Asked to end. May become any end.
    case cancelling
    /// Ended as it was meant to.
    case completed
    /// Ended with an error of its own.
    case failed
    /// Ended because it was asked to.
    case interrupted

    /// Whether the work is over.
    public var isEnd: Bool {
        switch self {
        case .started, .awaiting, .humanIntervention, .retrying, .recovered, .cancelling: false
        case .completed, .failed, .interrupted: true
        }
    }

    /// Whether the table allows this step. A status never becomes itself.
    public func canBecome(_ next: WorkStatus) -> Bool {
        switch self {
        case .started: next != .started
        case .recovered: next != .started && next != .recovered
        case .awaiting, .humanIntervention: next == .started || next == .cancelling || next.isEnd
        case .retrying: next == .started || next == .recovered || next == .cancelling || next.isEnd
        case .cancelling: next.isEnd
        case .completed, .failed, .interrupted: false
        }
    }
}
