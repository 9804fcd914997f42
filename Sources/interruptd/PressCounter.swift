import InterruptCore

/// Turns presses of Ctrl-C into stages. A press within 300 ms of the one before, counted or not, is key repeat: holding
/// the key is no escalation, however long.
struct PressCounter<Instant: InstantProtocol> where Instant.Duration == Duration {
    static var window: Duration { .milliseconds(300) }

    private var lastPress: Instant?
    private(set) var stage: InterruptStage?

    /// The stage that this press asks for; `nil` when it counts with the one before or there is nothing harder.
    mutating func press(at now: Instant) -> InterruptStage? {
        defer { lastPress = now }
        if let lastPress, lastPress.duration(to: now) < Self.window { return nil }
        guard let next = stage.map(\.next) ?? .drain else { return nil }
        stage = next
        return next
    }
}
