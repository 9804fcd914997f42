/// Every text about stages that a person sees, in one place.
public enum StageTexts {
    /// What a press of Ctrl-C has just done.
    public static func announcement(_ stage: InterruptStage) -> String {
        switch stage {
        case .drain: "Interrupt received: Cancelling queued tasks, completing active work..."
        case .terminate: "Second interrupt: Terminating active tasks, returning partial results..."
        case .kill: "Third interrupt: Immediate termination!"
        }
    }

    /// What the next press will do; `nil` when there is nothing harder.
    public static func hint(after stage: InterruptStage) -> String? {
        switch stage {
        case .drain: "Press Ctrl+C again to terminate active tasks"
        case .terminate: "Press Ctrl+C again for immediate exit"
        case .kill: nil
        }
    }

    /// The name of a stage in an escalation line; `nil` is normal operation.
    public static func title(_ stage: InterruptStage?) -> String {
        switch stage {
        case nil: "Normal Operation"
        case .drain: "Graceful Cancellation"
        case .terminate: "Urgent Cancellation"
        case .kill: "Immediate Termination"
        }
    }

    /// The line that records a change of stage.
    ///
    /// - Parameter isPlain: in ASCII only.
    public static func escalation(from old: InterruptStage?, to new: InterruptStage, isPlain: Bool = false) -> String {
        "Interrupt escalation: \(title(old)) \(isPlain ? "->" : "→") \(title(new))"
    }

    /// One sentence that says what the stage means.
    public static func heading(_ stage: InterruptStage) -> String {
        switch stage {
        case .drain: "Graceful cancellation: Finishing current work, no new tasks started"
        case .terminate: "Urgent cancellation: Stopping active tasks, saving partial results"
        case .kill: "Immediate termination: Exiting without cleanup"
        }
    }

    /// What happens to running and queued work, one line each.
    public static func details(_ stage: InterruptStage) -> [String] {
        switch stage {
        case .drain: ["Active tasks will finish", "Queued tasks will be skipped"]
        case .terminate: ["Active tasks are asked to end", "Partial results are being saved"]
        case .kill: ["Active tasks are killed", "Nothing more is saved"]
        }
    }

    /// The three-line help about Ctrl-C.
    public static let help = [
        "Ctrl+C once:  finish active work, start nothing new",
        "Ctrl+C twice: terminate active tasks, keep partial results",
        "Ctrl+C three times: exit immediately",
    ]
}
