/// What asking a run to pause, or to go on, comes to.
public enum PauseOutcome: String, Sendable, CaseIterable {
    /// It is on record; the run's worker carries it out.
    case recorded
    /// It is so already, or was asked before and is being carried out.
    case already
    /// The pause was taken back before the run's worker had carried it out.
    case withdrawn
    /// The run has not started: nothing was recorded. What is paused so is its queue.
    case queued
    /// A function of its worker's own process cannot be paused: nothing was recorded.
    case handler
    /// It is being interrupted, which a pause must not hold up: nothing was recorded.
    case cancelling
    /// It had ended before.
    case ended
    /// There is no such run.
    case missing
    /// The job has a newer run than the expected one: nothing was recorded.
    case replaced
}
