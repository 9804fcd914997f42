internal import InterruptCore

/// Decides how a run of a handler ended, from what was seen of it. A process has its rule in ``JobOutcome``.
struct HandlerOutcome: Equatable {
    /// How the function was left.
    enum Exit: Equatable {
        case returned
        /// By an error that only says that the work was asked to end.
        case threwInterruption
        /// By another one; with its text.
        case threw(String)
    }

    /// How much of an error's text goes on record, in characters.
    static let longestError = 1_000

    var exit: Exit
    /// Whether the work had come past a checkpoint, or anything else that told it, since it was asked to end.
    var hasTakenNotice: Bool
    /// Whether an interrupt of stage 2 or harder was asked before the end was known.
    var wasInterruptAsked: Bool

    /// The ending that goes on record.
    var ending: RunEnding {
        switch exit {
        // Work that took notice and returned what it had was interrupted as well.
        case .returned where hasTakenNotice, .threwInterruption: RunEnding(state: .interrupted)
        case .returned: RunEnding(state: .completed, isLateInterrupt: wasInterruptAsked)
        case .threw(let text):
            RunEnding(
                state: .failed,
                isLateInterrupt: wasInterruptAsked,
                error: text.escapedForDisplay(limit: Self.longestError)
            )
        }
    }
}
