internal import InterruptCore

/// Decides when what a job has told of its progress is written: the first at once, then the newest twice a second at most.
struct ProgressPace<Instant: InstantProtocol> where Instant.Duration == Duration {
    enum Step: Equatable {
        /// There is nothing new.
        case rest
        /// There is, but it is too early.
        case wait(until: Instant)
        case write(WorkProgress)
    }

    /// The time between two writes. People see no more than that, and a hundred jobs cost Redis two hundred commands a
    /// second.
    static var interval: Duration { .milliseconds(500) }

    /// What is on record.
    private(set) var written: WorkProgress?
    private var triedAt: Instant?

    /// What to do about the newest progress.
    func step(_ newest: WorkProgress?, now: Instant) -> Step {
        guard let newest, newest != written else { return .rest }
        if let next = triedAt?.advanced(by: Self.interval), now < next { return .wait(until: next) }
        return .write(newest)
    }

    /// Notes a write. One that has failed is tried again after the same time, with what is the newest then.
    mutating func wrote(_ progress: WorkProgress, succeeded: Bool, now: Instant) {
        triedAt = now
        if succeeded { written = progress }
    }
}
