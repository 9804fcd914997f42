import InterruptCore

/// Decides for how long a worker leaves a queue alone whose runs are held back by a gate, so that what it gives back does
/// not come round as fast as it can. Never waits, locks or reads a clock.
struct HeldQueues<Instant: InstantProtocol> where Instant.Duration == Duration {
    /// How long a queue is left alone. 1 s: what is resumed starts that much later at most.
    static var interval: Duration { .seconds(1) }
    /// After how many held runs of one queue it is left alone: others behind them are found at that many a second at least.
    static var mostInARow: Int { 50 }

    private let queues: [Name]
    private var ends: [Name: Instant] = [:]
    /// The held runs that were met since the queue was left alone last.
    private var met: [Name: Set<RunID>] = [:]

    init(queues: [Name]) {
        self.queues = queues
    }

    /// An offered run does not start because `target` is behind a gate.
    mutating func meet(_ offer: RunOffer, behind target: InterruptTarget?, now: Instant) {
        switch target {
        case .queue: hold(offer.queue, now: now)
        case .group:
            // Others of the queue may start. Once round, or after many, there is nothing else for a while.
            let isNew = met[offer.queue, default: []].insert(offer.run).inserted
            if !isNew || met[offer.queue, default: []].count >= Self.mostInARow { hold(offer.queue, now: now) }
        case .worker, .all, .job, nil:
            for queue in queues { hold(queue, now: now) }
        }
    }

    private mutating func hold(_ queue: Name, now: Instant) {
        ends[queue] = now.advanced(by: Self.interval)
        met[queue] = nil
    }

    /// The queues to take from at `now`, in their order, and when there may be more.
    mutating func open(at now: Instant) -> (queues: [Name], next: Instant?) {
        ends = ends.filter { now < $0.value }
        return (queues.filter { ends[$0] == nil }, ends.values.min())
    }
}
