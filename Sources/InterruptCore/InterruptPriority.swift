/// How urgent a request is on a scale of priorities, for programs that have one. Here it is a stage that says how hard.
public enum InterruptPriority: Int, CaseIterable, Sendable {
    /// Stage 1: a wish, which a strategy of the work may pass over.
    case soft = 1
    /// Stage 2, with the grace period of the work.
    case normal = 5
    /// Stage 2, with a grace period of one second: enough to close a file, not to finish.
    case hard = 9
    /// Stage 3: forced at once.
    case critical = 10

    /// How hard the work is asked to stop.
    public var stage: InterruptStage {
        switch self {
        case .soft: .drain
        case .normal, .hard: .terminate
        case .critical: .kill
        }
    }

    /// The time between asking and forcing; `nil` leaves it to the work.
    public var gracePeriod: Duration? { self == .hard ? .seconds(1) : nil }
}

extension InterruptSignal {
    /// A new interrupt of this priority, with the defaults of a plain request by a person for all else.
    public init(
        priority: InterruptPriority,
        reason: InterruptReason = .userCancelled,
        message: String? = nil,
        triggeredBy: String? = nil
    ) {
        self.init(
            stage: priority.stage,
            reason: reason,
            message: message,
            triggeredBy: triggeredBy,
            gracePeriod: priority.gracePeriod
        )
    }
}
