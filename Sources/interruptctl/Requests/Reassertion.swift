/// When a request that has no receipt is asserted again. By its id it counts once, however often it is said.
///
/// A server that was replaced by another one may have lost what it had answered for; then the repetition records it anew.
/// In quiet times that is rare: after a second, and from then on in growing distances up to five seconds, each a quarter
/// longer or shorter at random, so that many who wait do not speak in step. When the connection was lost it is not:
/// then as soon as there is another one.
struct Reassertion {
    static let shortest = Duration.seconds(1)
    static let longest = Duration.seconds(5)

    private var distance = Self.shortest
    private var due: Duration
    /// Whether the connection was lost since the last assertion.
    private(set) var isAfterLoss = false

    /// - Parameter random: a number from 0 up to 1; so below.
    init(random: Double) { due = Self.shortest * Self.factor(random) }

    /// The connection is gone, or was in between: what was answered over it may be.
    mutating func connectionWasLost() {
        isAfterLoss = true
        distance = Self.shortest
        due = .zero
    }

    /// Whether it is time.
    ///
    /// - Parameter elapsed: since the request was sent; so below.
    func isDue(at elapsed: Duration) -> Bool { elapsed >= due }

    /// It was asserted: when it is next. What was refused is said again after a second.
    mutating func asserted(at elapsed: Duration, hasArrived: Bool, random: Double) {
        due = elapsed + distance * Self.factor(random)
        guard hasArrived else { return }
        isAfterLoss = false
        distance = min(Self.longest, distance * 2)
    }

    private static func factor(_ random: Double) -> Double { 0.75 + random / 2 }
}
