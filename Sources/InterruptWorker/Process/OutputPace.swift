/// Decides how long the output of a run rests after a batch.
///
/// As long as it has credit, as fast as the consumer takes it; a flood goes on at a rate that leaves others room.
struct OutputPace<Instant: InstantProtocol> where Instant.Duration == Duration {
    /// What may go at full speed: far more than people read, so that ordinary commands never wait.
    static var burst: Int { 64 << 20 }
    /// What is credited in a second: a flood for hours costs Redis, its append-only file and each reader no more than
    /// this. Nobody reads faster; 8 MiB would be 28 GiB an hour in the append-only file, for each run.
    static var rate: Int { 1 << 20 }
    /// The rest when nothing waits: what trickles in goes in batches.
    static var interval: Duration { .milliseconds(50) }

    private var credit = Self.burst
    private var creditedAt: Instant?

    /// Whether the credit is used up.
    var isFlood: Bool { credit < 0 }

    /// The rest after a batch of `count` bytes.
    mutating func rest(after count: Int, isMoreWaiting: Bool, now: Instant) -> Duration {
        let elapsed = min(.seconds(60), creditedAt.map { $0.duration(to: now) } ?? .zero)
        creditedAt = now
        credit = min(Self.burst, credit + Int(elapsed / .seconds(1) * Double(Self.rate))) - count
        if credit < 0 { return .seconds(1) * (Double(-credit) / Double(Self.rate)) }
        return isMoreWaiting ? .zero : Self.interval
    }
}
