import InterruptCore

/// Turns presses of Ctrl-C into stages.
struct PressCounter<Instant: InstantProtocol> where Instant.Duration == Duration {
    private var presses = Presses<Instant>()
    private(set) var stage: InterruptStage?

    /// The stage that this press asks for; `nil` when it counts with the one before or there is nothing harder.
    mutating func press(at now: Instant) -> InterruptStage? {
        guard presses.counts(at: now), let next = stage.map(\.next) ?? .drain else { return nil }
        stage = next
        return next
    }
}
