/// How hard work is asked to stop. A run's stage only ever rises. No interrupt is stage 0 on the wire, `nil` here.
public enum InterruptStage: Int, CaseIterable, Sendable {
    /// Stage 1: what is queued is cancelled, what runs may finish.
    case drain = 1
    /// Stage 2: what runs is asked to end, then forced after its grace period; partial results are kept.
    case terminate = 2
    /// Stage 3: forced now.
    case kill = 3

    /// The word used in output and in the history.
    public var name: String {
        switch self {
        case .drain: "drain"
        case .terminate: "terminate"
        case .kill: "kill"
        }
    }

    /// The next harder stage; `nil` after ``kill``.
    public var next: InterruptStage? { InterruptStage(rawValue: rawValue + 1) }
}

extension InterruptStage: Comparable {
    /// Orders by hardness.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension InterruptStage? {
    /// Whether anything was asked at all.
    public var isInterrupted: Bool { self != nil }
    /// Stage 1 and harder: what has not begun must not begin.
    public var shouldCancelQueuedTasks: Bool { self.map { $0 >= .drain } ?? false }
    /// Stage 2 and harder: what runs must end.
    public var shouldTerminateActiveTasks: Bool { self.map { $0 >= .terminate } ?? false }
    /// Stage 3: leave now.
    public var shouldExitImmediately: Bool { self.map { $0 >= .kill } ?? false }
}
