/// Until when a worker may run what is leased to it: until its fence, which each heartbeat that was heard moves on. Decides;
/// reads no clock.
///
/// Whoever takes a run over waits for the whole lease without a heartbeat, and for a tenth more. The fence is a fifth of the
/// lease earlier, so that what is killed then is gone by the time.
struct Lease<Instant: InstantProtocol> where Instant.Duration == Duration {
    let length: Duration
    /// `nil` before the first heartbeat was heard.
    private(set) var fence: Instant?

    init(length: Duration) { self.length = length }

    /// The time between two heartbeats. Three may be lost before the fence.
    var heartbeatInterval: Duration { length / 5 }

    /// A heartbeat was heard that was sent at `instant` or later. An earlier one that is heard later changes nothing.
    mutating func renewed(at instant: Instant) {
        let fence = instant.advanced(by: length - length / 5)
        self.fence = max(self.fence ?? fence, fence)
    }

    /// The fence, if it is not reached at `instant`.
    func fence(after instant: Instant) -> Instant? {
        fence.flatMap { $0 > instant ? $0 : nil }
    }
}
