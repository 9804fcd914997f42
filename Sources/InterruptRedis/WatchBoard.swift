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
        var pendingProbe: String?
        var malformedCount = 0
        var saidMalformed: Set<String> = []
    }

    private let keys: RedisKeys
    private let worker: Name
    private let ways: Set<DeliveryWay>
    private let logger: Logger
    private let state: Mutex<State>
    /// Signalled when there is something to read earlier than was known.
    let wakeup = Wakeup()

    init(keys: RedisKeys, worker: Name, queues: [Name], ways: Set<DeliveryWay>, logger: Logger) {
        self.keys = keys
        self.worker = worker
        self.ways = ways
        self.logger = logger
        let always: [InterruptTarget] = queues.map { .queue($0) } + [.worker(worker), .all]
        state = Mutex(State(list: WatchList(keys: keys, always: always, now: Clock.now)))
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
                state.pendingProbe = nil
                return state.list.reconnected(now: Clock.now)
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
        let signal = message.signal(source: .message, newID: .random())
        if message.run == nil, signal.target == nil {
            return sayMalformed(push.channel, MalformedSignal(reason: "no target that can be read"))
        }
        let deliveries = state.withLock { state in
            if let run = message.run {
                return state.deliveries[RunID(rawValue: run)].map { [$0] } ?? []
            }
            return state.list.orders.values.filter { $0.isMeant(by: signal.target, on: worker) }
                .compactMap { state.deliveries[$0.run] }
        }
        for deliver in deliveries { deliver(signal, .push) }
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

    // MARK: What the checker's loop asks

    var subscriberID: Int64? { state.withLock { $0.subscriberID } }

    func step(pollInterval: Duration) -> WatchList<Clock.Instant>.Step {
        state.withLock { $0.list.step(now: Clock.now, pollInterval: pollInterval) }
    }

    func commandsReconnected() {
        if state.withLock({ $0.list.reconnected(now: Clock.now) }) { wakeup.signal() }
    }

    func readFailed(_ read: WatchList<Clock.Instant>.Read) {
        state.withLock { $0.list.readFailed(read, now: Clock.now) }
    }

    func readSucceeded() { state.withLock { $0.list.readSucceeded() } }

    func newValue(_ value: [UInt8]?, of key: String) -> WatchList<Clock.Instant>.Role? {
        state.withLock { $0.list.newValue(value, of: key) }
    }

    func malformed(_ key: String, _ error: MalformedSignal) {
        state.withLock { $0.list.malformed(key) }
        sayMalformed(key, error)
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

extension RunOrder {
    fileprivate func isMeant(by target: InterruptTarget?, on worker: Name) -> Bool {
        switch target {
        case nil: false
        case .job(let name): job == name
        case .group(let name): groups.contains(name)
        case .queue(let name): queue == name
        case .worker(let name): worker == name
        case .all: true
        }
    }
}
