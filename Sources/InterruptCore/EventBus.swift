import Synchronization

/// What happens in a scope, for those who watch. Nobody needs to: what must be acted on is in the signals.
public enum ScopeEvent: Hashable, Sendable {
    /// The work does something else now.
    case status(WorkStatus)
    /// An interrupt was accepted: the first one, or one that is harder or shortens the grace period.
    indirect case accepted(InterruptEvent)
    /// An interrupt at stage 1 is kept from the work by a strategy.
    indirect case passedOver(InterruptSignal)
    /// The timeout comes near; the work has this long.
    case timeoutApproaching(remaining: Duration)
    /// An interrupt was accepted this long ago, and the work has neither ended nor passed a checkpoint where it surfaces.
    case ignored(stage: InterruptStage, for: Duration, lastCheckpoint: String?)
    /// An interrupt came while the work is where it cannot stop, and waits for it.
    case uninterruptible(section: String, elapsed: Duration)
    /// Somewhere else could not be asked: it does not count as an interrupt.
    case degraded(source: String, why: String)
    /// It can be asked again.
    case restored(source: String)
    /// How far the items of a ``ParallelRunner`` are.
    case progress(WorkCounts)
    /// How far the work says it is; see ``InterruptScope/report(progress:_:at:)``.
    case reported(WorkProgress)
    /// A step of the scope's end is over, or a task beside its body has failed or did not end; with why.
    case cleanup(step: String, failure: String?)
    /// Something is to be said to people.
    case notice(String)
    /// The last event of work that ended because it was asked to.
    indirect case interrupted(InterruptEvent)
}

/// Hands events to everybody who reads a stream of it. A reader that is slow delays nobody: it misses the oldest events
/// once it is ``backlog`` behind.
public final class EventBus: Sendable {
    /// How many events wait for one reader.
    public static let backlog = 1_000

    fileprivate struct State {
        var status = WorkStatus.started
        var progress: WorkProgress?
        /// Once there is one, nothing follows.
        var last: ScopeEvent?
        var readers: [StreamReader<ScopeEvent>] = []
    }

    private let state = Mutex(State())

    /// A bus whose work has started.
    public init() {}

    /// What the work is doing.
    public var status: WorkStatus { state.withLock { $0.status } }

    /// How far the work is, as it has said last.
    var progress: WorkProgress? { state.withLock { $0.progress } }

    /// What is published from now on. Ends with the last event: ``ScopeEvent/interrupted(_:)``, or the status with which
    /// the work ended. Who comes later still gets that one.
    public func stream() -> AsyncStream<ScopeEvent> {
        let (stream, reader) = StreamReader<ScopeEvent>.make(bufferingPolicy: .bufferingNewest(Self.backlog))
        let last = state.withLock { state in
            state.readers.removeAll(where: \.isGone)
            if state.last == nil { state.readers.append(reader) }
            return state.last
        }
        if let last {
            reader.continuation.yield(last)
            reader.continuation.finish()
        }
        return stream
    }

    /// Hands an event to every reader; nothing after the end. A status that the table does not allow is passed over: what
    /// is late is normal.
    public func publish(_ event: ScopeEvent) {
        let readers = state.withLock { $0.publish(event) }
        for reader in readers { reader.continuation.finish() }
    }

    /// Hands on an event, and then that the work comes to an end. Where nobody reads, the event is not even made.
    func publish(_ event: @autoclosure () -> ScopeEvent, isCancelling: Bool) {
        state.withLock { state in
            // Neither is a last event: no reader ends.
            if !state.readers.isEmpty { _ = state.publish(event()) }
            if isCancelling { _ = state.publish(.status(.cancelling)) }
        }
    }
}

extension EventBus.State {
    /// Returns whose streams end with this event. Under the lock, which keeps the order the same for all readers: yielding
    /// only queues.
    fileprivate mutating func publish(_ event: ScopeEvent) -> [StreamReader<ScopeEvent>] {
        guard last == nil else { return [] }
        switch event {
        case .status(let new):
            guard status.canBecome(new) else { return [] }
            status = new
            if new.isEnd { last = event }
        case .interrupted:
            status = .interrupted
            last = event
        case .reported(let new): progress = new
        case .accepted, .passedOver, .timeoutApproaching, .ignored, .uninterruptible, .degraded, .restored, .progress,
            .cleanup, .notice:
            break
        }
        for reader in readers { reader.continuation.yield(event) }
        guard last != nil else { return [] }
        defer { readers = [] }
        return readers
    }
}
