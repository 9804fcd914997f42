/// How long to wait before the next attempt to connect: exponential, with full jitter, so that a fleet that lost its
/// server does not come back in step.
struct Backoff: Equatable {
    /// Upper bound of the first delay.
    var shortest: Duration = .milliseconds(50)
    /// Upper bound of every delay.
    var longest: Duration = .seconds(2)
    /// A connection that lived this long counts as a success; a shorter life is one more failure, else a server that
    /// accepts and hangs up would be asked in a tight loop.
    var provenLifetime: Duration = .seconds(1)

    private var attempts = 0

    init() {}

    /// The delay after a failed attempt, or after a connection that lived for `lifetime`.
    /// - Parameter random: a number from 0 up to 1.
    mutating func delay(afterLifetime lifetime: Duration?, random: Double) -> Duration {
        if let lifetime, lifetime >= provenLifetime { attempts = 0 }
        let bound = min(longest, shortest * (1 << min(attempts, 16)))
        attempts += 1
        return bound * random
    }
}

/// Lets through at most one line per interval; what was kept back is counted.
struct LogThrottle<Instant: InstantProtocol> {
    let interval: Instant.Duration
    private var last: Instant?
    private var suppressed = 0

    init(interval: Instant.Duration) { self.interval = interval }

    /// The number of lines kept back since the last one if a line is due now, otherwise `nil`.
    mutating func line(at now: Instant) -> Int? {
        if let last, last.duration(to: now) < interval {
            suppressed += 1
            return nil
        }
        defer { suppressed = 0 }
        last = now
        return suppressed
    }
}
