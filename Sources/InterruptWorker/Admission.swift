public import InterruptCore

/// Whether a worker starts a run that it has claimed, and as what.
public enum Admission: Hashable, Sendable {
    /// The run is what was submitted.
    case asItIs
    /// The run executes this instead: only its work, its directory, its environment and its hooks count, the
    /// rest is as claimed.
    case run(RunOrder)
    /// The run ends as failed, and this sentence goes on record.
    case refused(String)
}
