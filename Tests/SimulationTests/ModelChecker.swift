import InterruptCore
import InterruptJSON

@testable import InterruptRedis

/// As `RedisInterruptChecker` and `WatchBoard`: ``WatchList`` decides what is read when; what is found goes to the runs.
final class ModelChecker {
    private let world: World
    private let server: ModelServer
    private let keys: RedisKeys
    private let worker: Name
    private let client: ModelClient
    private let subscriber: ModelClient
    private let pollInterval: Duration
    private var list: WatchList<VirtualInstant>
    private var deliveries: [RunID: (InterruptSignal, DeliveryWay) -> Void] = [:]
    private var subscriberID: Int?
    private var trackedBy: (commands: Int, subscription: Int)?
    private var pendingProbe: String?
    private var probes = 0
    private var isReading = false
    private var wakeUps = 0
    private var hasEnded = false

    init(_ world: World, _ server: ModelServer, _ worker: Name, _ client: ModelClient, queues: [Name]) {
        (self.world, self.server, self.keys, self.worker, self.client) = (world, server, server.keys, worker, client)
        pollInterval = world.milliseconds(200..<2_000)
        subscriber = ModelClient(world, server)
        let always: [InterruptTarget] = queues.map { .queue($0) } + [.worker(worker), .all]
        list = WatchList(keys: server.keys, always: always, now: world.now)
        subscriber.prepare = { [unowned self] in subscribe($0, $1) }
        subscriber.onLost = { [unowned self] in subscriberID = nil }
    }

    func begin() {
        subscriber.connect()
        look()
        scheduleProbe()
    }

    func end() {
        hasEnded = true
        subscriber.end()
    }

    /// What is cut or falls silent when the network does that to the subscription.
    var subscription: ModelConnection? { subscriber.connection }

    var isConnected: Bool { subscriberID != nil && subscriber.isConnected }

    func cutOff(until instant: VirtualInstant) { subscriber.cutOff(until: instant) }

    func watch(_ order: RunOrder, deliver: @escaping (InterruptSignal, DeliveryWay) -> Void) {
        list.watch(order, now: world.now)
        deliveries[order.run] = deliver
        look()
    }

    func unwatch(_ run: RunID) {
        list.unwatch(run)
        deliveries[run] = nil
    }

    func commandsReconnected() {
        subscriber.hurry()
        let isSubscribed = subscriberID != nil
        let isNews = list.commandsReconnected(isSubscribed: isSubscribed, pollInterval: pollInterval, now: world.now)
        if isNews { look() }
    }

    // MARK: The subscription

    private func subscribe(_ connection: ModelConnection, _ done: @escaping (Bool) -> Void) {
        connection.onMessage = { [unowned self] push in
            // What is published may come twice, and what comes twice in another order.
            if world.chance(5) { world.after(world.milliseconds(0..<300)) { self.receive(push) } }
            if world.chance(3) { return world.after(world.milliseconds(0..<300)) { self.receive(push) } }
            receive(push)
        }
        let channels = [RedisKeys.invalidations, keys.signals, keys.signals(worker)]
        let answer = Answer("SUBSCRIBE", world) { [unowned self] result in
            guard case .success(let replies) = result, replies.allSatisfy({ $0.errorText == nil }) else {
                return done(false)
            }
            subscriberID = connection.id
            pendingProbe = nil
            world.tell("\(worker) is subscribed")
            if list.reconnected(now: world.now) { look() }
            done(true)
        }
        connection.send([.subscribe(channels)], .confirmations(channels.count), timeout: .seconds(2), answer)
    }

    private func receive(_ push: RedisPush) {
        if hasEnded { return }
        if push.channel == RedisKeys.invalidations {
            if list.invalidated(push.payload.array?.compactMap(\.text), now: world.now) { look() }
            return
        }
        guard let message = try? SignalMessage(json: push.payload.bytes ?? []) else {
            return world.broken("a published record cannot be read")
        }
        if let probe = message.probe {
            if probe == pendingProbe { pendingProbe = nil }
            return
        }
        let signal = signal(message, .message)
        for delivery in message.run.flatMap({ deliveries[RunID(rawValue: $0)] }).map({ [$0] }) ?? [] {
            delivery(signal, .push)
        }
    }

    private func scheduleProbe() {
        world.after(.seconds(3)) { [self] in
            if hasEnded { return }
            scheduleProbe()
            guard let subscriberID else { return }
            if pendingProbe != nil {
                pendingProbe = nil
                world.tell("\(worker): the push path is silent")
                subscriber.current.flatMap { $0.id == subscriberID ? $0 : nil }?.close(
                    RedisError(.closed, "the push path is silent")
                )
                return
            }
            probes += 1
            let text = "\(worker)-\(probes)"
            pendingProbe = text
            client.send("PUBLISH", [.publish(keys.signals(worker), "{\"probe\":\"\(text)\"}")]) { [self] result in
                if case .failure = result { pendingProbe = nil }
            }
        }
    }

    // MARK: Reading

    private func look() {
        if isReading || hasEnded { return }
        wakeUps += 1
        let jitter = 0.9 + 0.2 * world.fraction()
        switch list.step(now: world.now, pollInterval: pollInterval * jitter) {
        case .wait(let instant):
            let number = wakeUps
            world.at(instant) { [self] in if number == wakeUps { look() } }
        case .read(let read):
            isReading = true
            track { [self] isTracked in
                guard let isTracked else { return failed(read) }
                client.send("MGET", [.read(read.keys, isTracked: isTracked)]) { [self] result in
                    guard case .success(let replies) = result, let values = replies[0].array else {
                        return failed(read)
                    }
                    consider(Array(zip(read.keys, values))[...], read)
                }
            }
        }
    }

    private func failed(_ read: WatchList<VirtualInstant>.Read) {
        list.readFailed(read, now: world.now)
        isReading = false
        look()
    }

    /// Answers `nil` when the question failed.
    private func track(_ done: @escaping (Bool?) -> Void) {
        guard let subscriberID else { return done(false) }
        guard let commands = client.current else { return done(nil) }
        if let trackedBy, trackedBy == (commands.id, subscriberID) { return done(true) }
        client.send("CLIENT TRACKING", [.track(redirect: subscriberID)]) { [self] result in
            guard case .success(let replies) = result else { return done(nil) }
            guard replies[0].errorText == nil else { return done(false) }
            trackedBy = (commands.id, subscriberID)
            done(true)
        }
    }

    private func consider(_ values: ArraySlice<(String, RESPValue)>, _ read: WatchList<VirtualInstant>.Read) {
        guard let (key, value) = values.first, !hasEnded else {
            list.readSucceeded()
            isReading = false
            return look()
        }
        let rest = values.dropFirst()
        guard let role = list.newValue(value.bytes, of: key), let bytes = value.bytes else {
            return consider(rest, read)
        }
        let way = read.ways[key] ?? .poll
        switch role {
        case .pause: consider(rest, read)
        case .request(let run):
            guard let message = try? SignalMessage(json: bytes) else {
                return world.broken("a record cannot be read")
            }
            deliveries[run]?(signal(message, .remote), way)
            consider(rest, read)
        case .jobFlag(let run, let job):
            guard let signal = flag(bytes, of: key, for: run) else { return consider(rest, read) }
            let script = ModelServer.Script.importFlag(signal, run, job: job, value: text(bytes))
            client.send("import_flag", [.script(script)]) { [self] result in
                switch result {
                case .success(let replies):
                    if let record = replies[0].bytes, let message = try? SignalMessage(json: record) {
                        deliveries[run]?(self.signal(message, .flag), way)
                        // One without an id was taken out: the same text set again is a new request.
                        if world.promises.wasGiven(signal.id) { list.forgetValue(of: key) }
                    }
                case .failure: list.forgetValue(of: key)
                }
                consider(rest, read)
            }
        case .wideFlag(let target):
            guard let signal = flag(bytes, of: key, for: nil) else { return consider(rest, read) }
            let script = ModelServer.Script.importWideFlag(signal, target: target, value: text(bytes))
            client.send("import_wide_flag", [.script(script)]) { [self] _ in
                list.forgetValue(of: key)
                consider(rest, read)
            }
        }
    }

    private func flag(_ bytes: [UInt8], of key: String, for run: RunID?) -> InterruptSignal? {
        do throws(MalformedSignal) {
            return try FlagValue.read(bytes, for: run).map { signal($0, .flag, flag: key) }
        } catch {
            list.malformed(key)
            return nil
        }
    }

    /// A request without an id gets one here; whoever has set the flag has asked for it.
    private func signal(
        _ message: SignalMessage,
        _ source: InterruptSignal.Source,
        flag key: String? = nil
    ) -> InterruptSignal {
        var given: RequestID?
        let signal = message.signal(
            source: source,
            newID: {
                let id = RequestID(rawValue: "flag-\(world.newID())")
                given = id
                return id
            }()
        )
        if let given, given == signal.id, let key { world.promises.adopt(given, flag: key) }
        return signal
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
