/// How often, and after which pauses, work that failed is tried again.
public struct RetryPolicy: Hashable, Sendable {
    /// The most attempts, the first one included.
    public let attempts: Int
    /// The pause after the first failure; after each further one it is twice as long.
    public let firstPause: Duration
    /// The longest pause.
    public let longestPause: Duration

    /// - Parameters:
    ///   - attempts: at least one.
    ///   - firstPause: a tenth of a second, if nothing is said.
    ///   - longestPause: half a minute, if nothing is said.
    public init(
        attempts: Int,
        firstPause: Duration = .milliseconds(100),
        longestPause: Duration = .seconds(30)
    ) {
        self.attempts = max(1, attempts)
        (self.firstPause, self.longestPause) = (firstPause.clamped, longestPause.clamped)
    }

    /// The pause after this many failures, before it is varied.
    func pause(after failures: Int) -> Duration {
        // Nobody tries more than twenty times to get from the shortest to the longest.
        min(longestPause, firstPause * (1 << min(failures - 1, 20)))
    }
}

extension InterruptScope {
    /// Runs `body` until it returns, at most as often as `policy` says, with pauses that an interrupt ends at once. Work
    /// that was interrupted is not tried again. Each pause is varied by up to a tenth. A checkpoint before each attempt.
    ///
    /// What was interrupted in a scope inside of `body`, by a timeout for one attempt for instance, is a failure as any other.
    ///
    /// - Parameters:
    ///   - policy: how often, and after which pauses.
    ///   - name: what reports call the checkpoints, as in ``checkpoint(_:)``.
    ///   - body: gets the number of the attempt, from 1.
    /// - Throws: what the last attempt threw, and as ``checkpoint(_:)``.
    public func retrying<Result>(
        _ policy: RetryPolicy,
        _ name: StaticString = #function,
        _ body: (Int) async throws -> Result
    ) async throws -> Result {
        for attempt in 1...policy.attempts {
            try checkpoint(name)
            do {
                return try await body(attempt)
            } catch {
                if attempt == policy.attempts || isInterruption(error) || Task.isCancelled { throw error }
                bus.publish(.status(.retrying))
                try await sleep(for: policy.pause(after: attempt) * Double.random(in: 0.9...1.1), name)
                bus.publish(.status(.recovered))
            }
        }
        preconditionFailure("the last attempt returns or throws")
    }
}
