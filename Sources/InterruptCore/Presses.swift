/// Tells presses of Ctrl-C from key repeat. A press within 300 ms of the one before, counted or not, is repetition:
/// holding the key is one press, however long.
package struct Presses<Instant: InstantProtocol> where Instant.Duration == Duration {
    package static var repetition: Duration { .milliseconds(300) }

    private var last: Instant?

    package init() {}

    /// Whether this press counts.
    package mutating func counts(at now: Instant) -> Bool {
        defer { last = now }
        return last.map { $0.duration(to: now) >= Self.repetition } ?? true
    }
}

/// Turns presses of Ctrl-C into stages.
package struct PressCounter<Instant: InstantProtocol> where Instant.Duration == Duration {
    private var presses = Presses<Instant>()
    /// The stage that was asked for last.
    package private(set) var stage: InterruptStage?

    package init() {}

    /// The stage that this press asks for; `nil` when it counts with the one before or there is nothing harder.
    package mutating func press(at now: Instant) -> InterruptStage? {
        guard presses.counts(at: now), let next = stage.map(\.next) ?? .drain else { return nil }
        stage = next
        return next
    }
}
