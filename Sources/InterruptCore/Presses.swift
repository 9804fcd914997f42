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
