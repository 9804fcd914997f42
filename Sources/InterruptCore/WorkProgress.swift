import Synchronization

/// How far work is, as it says itself.
public struct WorkProgress: Hashable, Sendable {
    /// The longest message that is kept, in bytes: as long as a last line of output.
    public static let maximumMessageSize = 400
    /// From how much on the time that is left is estimated. Less than one percent says next to nothing about the rest.
    public static let smallestEstimated = 0.01
    /// What adding up many small parts may be off by.
    private static let roundingError = 1e-9

    /// The part that is done, from 0 to 1.
    public let fraction: Double
    /// What the work is at, at most ``maximumMessageSize`` bytes of it. Not trusted: escaped wherever it is shown.
    public let message: String?

    /// Takes a part from 0 to 1; what is outside of it by a rounding error only counts as 0 or 1.
    ///
    /// - Throws: ``ProgressError`` for any other number, and for none (NaN).
    public init(_ fraction: Double, _ message: String? = nil) throws(ProgressError) {
        // Written so that NaN, which is not less than anything, is refused.
        guard fraction >= -Self.roundingError, fraction <= 1 + Self.roundingError else {
            throw ProgressError(value: fraction)
        }
        self.fraction = min(max(fraction, 0), 1)
        self.message = message?.clipped(toBytes: Self.maximumMessageSize)
    }

    /// Whole percent, rounded down: 100 % is said of nothing that is not done.
    public var percentText: String { "\(Int(fraction * 100 + Self.roundingError)) %" }

    /// How much longer the work takes if it goes on as it has. `nil` when that cannot be said: less than
    /// ``smallestEstimated`` is done, or the work stands still, which is when it has been at the same part for as long as
    /// it took to get there, or for longer than the whole rest should have taken.
    ///
    /// - Parameters:
    ///   - elapsed: the time from the start of the work until it was this far.
    ///   - standing: the time since then.
    public func remaining(elapsed: Duration, standing: Duration = .zero) -> Duration? {
        if fraction >= 1 { return .zero }
        guard fraction >= Self.smallestEstimated, elapsed > .zero, standing <= elapsed else { return nil }
        let rest = elapsed * ((1 - fraction) / fraction) - standing
        return rest > .zero ? rest : nil
    }
}

/// Why a number is no progress.
public struct ProgressError: Error, Hashable, CustomStringConvertible {
    let value: Double

    /// One sentence.
    public var description: String {
        "progress \(value) is refused: it is a part of the whole, from 0 to 1 (0.4 is 40 %)"
    }
}

/// Work that goes on although it was asked to end, and as far as it is known, why.
public struct Holdout: Hashable, Sendable {
    /// Processes that outlive SIGKILL: which, why, and what comes next.
    public var survivors: String?
    /// The section in which it said that it cannot stop; see ``InterruptScope/uninterruptible(_:_:)``.
    public var section: String?
    /// The checkpoint that it has passed last.
    public var lastCheckpoint: String?
    /// How long it has been so: in the section, or without one since it was asked.
    public var elapsed: Duration

    /// A holdout from its parts.
    public init(
        survivors: String? = nil,
        section: String? = nil,
        lastCheckpoint: String? = nil,
        elapsed: Duration
    ) {
        self.survivors = survivors
        (self.section, self.lastCheckpoint, self.elapsed) = (section, lastCheckpoint, elapsed)
    }

    /// What is said about it. The names are escaped.
    public var text: String {
        if let survivors { return survivors.escapedForDisplay(limit: 1_000) }
        let place = section.map { "in '\($0.escapedForDisplay(limit: 200))' for \(elapsed.displayText)" }
        let last = lastCheckpoint.map { ", last checkpoint '\($0.escapedForDisplay(limit: 200))'" } ?? ""
        return "cannot be interrupted yet: \(place ?? "asked \(elapsed.displayText) ago")\(last)"
    }
}

extension InterruptScope {
    /// How far the work is, as it has said last.
    public var progress: WorkProgress? { bus.progress }

    /// Tells how far the work is. A checkpoint. Returns at once, whoever watches; it may be called as often as there is
    /// something to tell.
    ///
    /// In a job that a worker runs, tell it to the scope that the job was given: that one's progress is the run's.
    /// - Parameters:
    ///   - fraction: the part that is done, from 0 to 1.
    ///   - message: what the work is at.
    ///   - name: what reports call the place, as in ``checkpoint(_:)``.
    /// - Throws: ``InterruptedError`` as ``checkpoint(_:)``; else ``ProgressError`` for a number that is no part of a
    ///   whole, which nobody is told.
    public func report(
        progress fraction: Double,
        _ message: String? = nil,
        at name: StaticString = #function
    ) throws {
        try checkpoint(name)
        tell(try WorkProgress(fraction, message))
    }

    /// Tells how far work elsewhere is that this scope stands for.
    package func tell(_ progress: WorkProgress) {
        bus.publish(.reported(progress))
        progressed.signal()
    }

    /// What is known of why the work still goes on.
    ///
    /// - Parameter elapsed: the time since it was asked.
    package func holdout(askedFor elapsed: Duration) -> Holdout {
        let place = place
        return Holdout(
            section: place.section?.name,
            lastCheckpoint: place.checkpoint,
            elapsed: place.section.map { $0.began.duration(to: .now) } ?? elapsed
        )
    }

    /// The innermost section that cannot stop, and the innermost checkpoint, here and below.
    private var place: (section: (name: String, began: ContinuousClock.Instant)?, checkpoint: String?) {
        let below = state.withLock { Array($0.children.values) }.map(\.place)
        let section = below.lazy.compactMap(\.section).first ?? self.section.map { ($0, began) }
        return (section, below.lazy.compactMap(\.checkpoint).first ?? lastCheckpointName)
    }
}
