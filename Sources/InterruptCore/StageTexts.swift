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

    /// The line that records a change of stage. Plain is in ASCII only.
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

    /// Why a stage has risen although nobody has asked for it.
    public static let graceExpired = "Grace period expired, forcing cancellation..."

    // MARK: Many items

    /// Nothing from this item on starts.
    public static func stoppingSubmission(at number: Int, of total: Int) -> String {
        "Stopping task submission at task \(number)/\(total)"
    }

    /// Stage 2 while results come in.
    public static let stoppingCollection = "Stopping result collection due to urgent cancellation"

    /// Stage 3 while results come in.
    public static let leavingCollection = "Immediate termination requested during result collection"

    /// What is returned of work that was interrupted.
    public static func partialResults(_ completed: Int, of total: Int) -> String {
        // Tenths of a percent, rounded, without Foundation's formatting.
        let tenths = total == 0 ? 0 : (completed * 2_000 + total) / (total * 2)
        return "Returning partial results: \(completed)/\(total) tasks completed (\(tenths / 10).\(tenths % 10)%)"
    }

    /// One item that ended because it was asked to.
    public static func terminated(_ name: String, _ number: Int, of total: Int) -> String {
        "Terminated: \(name) [\(number)/\(total)]"
    }

    /// What goes on at a stage, as its number has it; for a number that is none, so says the text.
    public static func progress(stageNumber: Int) -> String {
        switch InterruptStage(rawValue: stageNumber) {
        case .drain: "Graceful cancellation in progress..."
        case .terminate: "Urgent cancellation - stopping active work..."
        case .kill: "Immediate termination requested!"
        case nil: "Unknown interrupt stage: \(stageNumber)"
        }
    }
}
