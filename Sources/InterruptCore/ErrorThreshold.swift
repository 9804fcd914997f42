/// How many failures in how long a time are too many.
public struct ErrorThreshold: Hashable, Sendable {
    /// This many failures interrupt.
    public let count: Int
    /// Older failures do not count.
    public let window: Duration

    /// `count` failures, at least one, within `window`.
    public init(_ count: Int, within window: Duration) {
        (self.count, self.window) = (max(1, count), window)
    }
}

/// Counts failures. Reads no clock.
struct FailureWindow {
    private let threshold: ErrorThreshold
    private var failures: [ContinuousClock.Instant] = []
    private var isOver = false

    init(_ threshold: ErrorThreshold) { self.threshold = threshold }

    /// Counts one, and answers with the interrupt when it is one too many: once.
    mutating func failed(at now: ContinuousClock.Instant) -> InterruptSignal? {
        failures.append(now)
        failures.removeAll { $0.duration(to: now) > threshold.window }
        guard !isOver, failures.count >= threshold.count else { return nil }
        isOver = true
        return InterruptSignal(
            reason: .errorThreshold,
            message: "\(failures.count) failures within \(threshold.window.secondsText)s",
            triggeredBy: "error_threshold",
            source: .limit
        )
    }
}
