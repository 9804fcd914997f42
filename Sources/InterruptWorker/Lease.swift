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

    /// When the next heartbeat is sent after one that was sent at `instant`. However late that was heard, its fence counts from
    /// when it was sent, and so does this. One that was not heard is followed sooner.
    func nextHeartbeat(after instant: Instant, wasHeard: Bool) -> Instant {
        instant.advanced(by: wasHeard ? heartbeatInterval : min(heartbeatInterval, .seconds(1)))
    }

    /// Whether a run may begin at `instant` below the fence that stood when it was claimed. With less than two heartbeats to
    /// go it would be ended before it has done anything, by a worker that is well.
    func lets(begin instant: Instant, below fence: Instant?) -> Bool {
        guard let fence else { return false }
        return instant.duration(to: fence) >= heartbeatInterval * 2
    }
}
