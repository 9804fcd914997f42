import InterruptCore
import InterruptJSON
import Logging
import Synchronization

/// Holds the watch list under a lock, and hands what arrives on the subscription to the runs it is meant for.
final class WatchBoard: Sendable {
    typealias Delivery = @Sendable (InterruptSignal, DeliveryWay) -> Void
    typealias Pausing = @Sendable (_ isToBePaused: Bool) -> Void
    typealias Clock = ContinuousClock

    private struct State {
        var list: WatchList<Clock.Instant>
        var deliveries: [RunID: Delivery] = [:]
        var pausings: [RunID: Pausing] = [:]
        var subscriberID: Int64?
        var subscribedAt = Clock.now
        var subscriptions = 0
        var pendingProbe: String?
        var malformedCount = 0
        var saidMalformed: Set<String> = []
        /// With it, only what is signed is delivered.
        var trusted: TrustedRequests?
    }

    private let keys: RedisKeys
    private let worker: Name
    private let ways: Set<DeliveryWay>
    private let logger: Logger
    private let state: Mutex<State>
    /// Signalled when there is something to read earlier than was known.
    let wakeup = Wakeup()

    init(
        keys: RedisKeys,
        worker: Name,
        queues: [Name],
        ways: Set<DeliveryWay>,
        signingKey: SigningKey? = nil,
        logger: Logger
    ) {
        self.keys = keys
        self.worker = worker
        self.ways = ways
        self.logger = logger
        let always: [InterruptTarget] = queues.map { .queue($0) } + [.worker(worker), .all]
        let trusted = signingKey.map { TrustedRequests(key: $0, namespace: keys.namespace) }
        state = Mutex(State(list: WatchList(keys: keys, always: always, now: Clock.now), trusted: trusted))
    }

    func watch(_ order: RunOrder, pausing: Pausing?, deliver: @escaping Delivery) {
        state.withLock { state in
            state.list.watch(order, isPausable: pausing != nil, now: Clock.now)
            state.deliveries[order.run] = deliver
            state.pausings[order.run] = pausing
        }
        wakeup.signal()
    }

    func unwatch(_ run: RunID) {
        state.withLock { state in
            state.list.unwatch(run)
            state.trusted?.unwatch(run)
            state.deliveries[run] = nil
            state.pausings[run] = nil
        }
    }

    // MARK: What arrives on the subscription, on the connection's own thread

    func receive(_ event: RedisSubscriberEvent) {
        switch event {
        case .connected(let clientID):
            let wakes = state.withLock { state in
                state.subscriberID = clientID
                state.subscribedAt = .now
                state.subscriptions += 1
                state.pendingProbe = nil
                return state.list.reconnected(now: .now)
            }
            if wakes { wakeup.signal() }
        case .disconnected(let error):
            state.withLock { $0.subscriberID = nil }
            // What this program ended itself is no trouble.
            if error.code != .closed, error.code != .cancelled {
                logger.info("push is down, polling goes on", metadata: ["why": "\(error)"])
            }
        case .push(let push) where push.channel == RedisKeys.invalidations:
            guard ways.contains(.tracked) else { return }
            let changed = push.payload.array?.compactMap(\.text)
            if state.withLock({ $0.list.invalidated(changed, now: Clock.now) }) { wakeup.signal() }
        case .push(let push):
            receiveSignal(push)
        }
    }

    private func receiveSignal(_ push: RedisPush) {
        guard let bytes = push.payload.bytes else { return }
        let message: SignalMessage
        do throws(MalformedSignal) {
            message = try SignalMessage(json: bytes)
        } catch {
            sayMalformed(push.channel, error)
            return
        }
        if let probe = message.probe {
            state.withLock { if $0.pendingProbe == probe { $0.pendingProbe = nil } }
            return
        }
        guard ways.contains(.push) else { return }
        // A signal without a run is a bare message: honoured once for whatever it names, without any promise.
        let target = message.target.flatMap { try? InterruptTarget($0) }  // what cannot be read names nothing
        if message.run == nil, target == nil {
            return sayMalformed(push.channel, MalformedSignal(reason: "no target that can be read"))
        }
        // What nobody has signed counts once, however many runs it means.
        if message.run == nil, message.signed == nil, !honoursUnsigned(at: push.channel) { return }
        let runs = state.withLock { state in
            message.run.map { [RunID(rawValue: $0)] } ?? state.list.runs(meantBy: target, on: worker)
        }
        // One id for all runs that it means.
        let id = RequestID.random()
        for run in runs where state.withLock({ $0.deliveries[run] != nil }) {
            for signal in signals(in: message, of: push.channel, source: .message, newID: id, for: run) {
                deliver(signal, .push, to: run)
            }
        }
    }

    /// How many texts were no interrupts.
    var malformedCount: Int { state.withLock { $0.malformedCount } }

    /// A malformed text is counted, and said once for each place.
    func sayMalformed(_ place: String, _ error: MalformedSignal) {
        let isNew = state.withLock { state in
            state.malformedCount += 1
            if state.saidMalformed.count > 1_000 { state.saidMalformed = [] }
            return state.saidMalformed.insert("\(place) \(error.reason)").inserted
        }
        if isNew {
            logger.warning("ignored what is no interrupt", metadata: ["at": "\(place)", "why": "\(error.reason)"])
        }
    }

    // MARK: What is signed

    /// How many requests were not honoured because they are not signed.
    var refusedCount: Int { state.withLock { $0.trusted?.refusedCount ?? 0 } }

    /// What a message says to a run: without a key what it says, with one as far as it is signed. What is not is counted,
    /// and said once for each place.
    func signals(
        in message: SignalMessage,
        of place: String,
        source: InterruptSignal.Source,
        newID: RequestID = .random(),
        for run: RunID
    ) -> [InterruptSignal] {
        let found = state.withLock { $0.trusted?.interrupts(in: message, source: source, for: run) }
        guard let found else { return [message.signal(source: source, newID: newID)] }
        if let refusal = found.refusal { sayRefused(place, refusal) }
        return found.signals
    }

    /// Whether what is for many, and signed by nobody, counts: not where there is a key. Then it is counted as refused.
    func honoursUnsigned(at place: String) -> Bool {
        let refusal = state.withLock { $0.trusted?.refuse([], of: nil, .unsigned) }
        guard let refusal = refusal ?? nil else { return true }
        sayRefused(place, refusal)
        return false
    }

    /// Whether the run is to be paused, by what stands under its key.
    func isToBePaused(by value: [UInt8]?, of place: String, _ run: RunID) -> Bool {
        guard let answer = state.withLock({ $0.trusted?.isToBePaused(by: value, run) }) else { return value != nil }
        if let refusal = answer.refusal { sayRefused(place, refusal) }
        return answer.isToBePaused
    }

    /// The worker itself puts this request on record. Of a run that nobody watches any more, no record is read.
    func note(_ id: RequestID, for run: RunID) {
        state.withLock { if $0.deliveries[run] != nil { $0.trusted?.note(id, for: run) } }
    }

    private func sayRefused(_ place: String, _ refusal: SignedRequest.Refusal) {
        let isNew = state.withLock { state in
            if state.saidMalformed.count > 1_000 { state.saidMalformed = [] }
            return state.saidMalformed.insert("\(place) \(refusal.reason)").inserted
        }
        guard isNew else { return }
        logger.warning(
            "ignored a request that nobody with the key has made",
            metadata: ["at": "\(place.escapedForDisplay(limit: 200))", "why": "\(refusal.reason)"]
        )
    }

    // MARK: What the checker's loop asks

    /// The number of the present subscription on the server, which one it is of this process, and since when.
    var subscription: (id: Int64, count: Int, since: Clock.Instant)? {
        state.withLock { state in state.subscriberID.map { ($0, state.subscriptions, state.subscribedAt) } }
    }

    func step(pollInterval: Duration) -> WatchList<Clock.Instant>.Step {
        state.withLock { $0.list.step(now: Clock.now, pollInterval: pollInterval) }
    }

    /// The connection that reads was made anew.
    func commandsReconnected(pollInterval: Duration) {
        let wakes = state.withLock { state in
            let isSubscribed = state.subscriberID != nil
            return state.list.commandsReconnected(isSubscribed: isSubscribed, pollInterval: pollInterval, now: .now)
        }
        if wakes { wakeup.signal() }
    }

    func readFailed(_ read: WatchList<Clock.Instant>.Read) {
        state.withLock { $0.list.readFailed(read, now: Clock.now) }
    }

    func readSucceeded() { state.withLock { $0.list.readSucceeded() } }

    func newValue(_ value: [UInt8]?, of key: String) -> WatchList<Clock.Instant>.Role? {
        state.withLock { $0.list.newValue(value, of: key) }
    }

    func malformed(_ key: String, _ error: MalformedSignal) {
        setAside(key)
        sayMalformed(key, error)
    }

    /// The value means nothing here: it is read seldom from now on.
    func setAside(_ key: String) { state.withLock { $0.list.malformed(key) } }

    /// Those of the keys under which something was that means nothing here.
    func setAside(among keys: [String]) -> [String] { state.withLock { $0.list.malformed(among: keys) } }

    func tryAgain(_ key: String, _ way: DeliveryWay) { state.withLock { $0.list.tryAgain(key, way, now: .now) } }

    /// The watched runs that the target stands for.
    func runs(meantBy target: InterruptTarget) -> Set<RunID> {
        state.withLock { $0.list.runs(meantBy: target, on: worker) }
    }

    func forgetValue(of key: String) { state.withLock { $0.list.forgetValue(of: key) } }

    func deliver(_ signal: InterruptSignal, _ way: DeliveryWay, to run: RunID) {
        guard ways.contains(way) else { return }
        state.withLock { $0.deliveries[run] }?(signal, way)
    }

    func tell(isToBePaused: Bool, to run: RunID) { state.withLock { $0.pausings[run] }?(isToBePaused) }

    /// Begins a new probe; answers whether the one before has come back.
    func exchangeProbe(_ text: String) -> Bool {
        state.withLock { state in
            defer { state.pendingProbe = text }
            return state.pendingProbe == nil
        }
    }

    func forgetProbe() { state.withLock { $0.pendingProbe = nil } }
}
