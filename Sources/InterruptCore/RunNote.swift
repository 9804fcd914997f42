/// What a run tells of itself, besides its progress.
public enum RunNote: Hashable, Sendable {
    /// From where a later run of the job could go on, in the job's own words. Not trusted: escaped wherever it is shown.
    case checkpoint(String)
    /// It was asked to end and needs longer than its grace period: by this much in all.
    case moreTime(Duration)
}
