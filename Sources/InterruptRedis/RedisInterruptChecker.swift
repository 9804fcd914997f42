public import InterruptCore
import InterruptJSON
public import Logging

/// Watches runs for interrupts in four ways, each enough by itself: the published message, tracked keys, the poll, and
/// the reading that follows every connect.
///
/// A worker feeds its scopes from it; a program with its own way of running jobs can use it alone.
public final class RedisInterruptChecker: Sendable {
    /// How the checker looks for interrupts.
    public struct Configuration: Sendable {
        /// The time between two polls, plus or minus a tenth, and an eighth more right after a connect. 1 s, so that a lost
        /// push costs about a second.
        public var pollInterval: Duration = .seconds(1)
        /// The time within which the checker's own message must come back through its channel. 3 s: a half-open link
        /// is noticed long before the kernel notices it.
        public var probeInterval: Duration = .seconds(3)
        /// With it, only requests that are signed with it are delivered; others are counted.
        public var signingKey: SigningKey?
        /// The ways that are in use; tests switch some off to prove the others.
        package var ways: Set<DeliveryWay> = Set(DeliveryWay.allCases)

        /// The defaults.
        public init() {}
    }

    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let interrupts: InterruptClient
    private let keys: RedisKeys
    private let worker: Name
    private let configuration: Configuration
    let board: WatchBoard
    private let connected: Wakeup
    private let logger: Logger

    /// A checker for the runs of `worker`. It watches nothing before ``run()`` runs.
    ///
    /// - `client`: carries the reads; its owner runs it. The subscription is a second connection to the same endpoint.
    /// - `queues`: the queues whose flags are watched too.
    public convenience init(
        client: RedisClient,
        keys: RedisKeys,
        worker: Name,
        queues: [Name],
        configuration: Configuration = Configuration(),
        connection: RedisConnectionConfiguration = RedisConnectionConfiguration(),
        logger: Logger
    ) {
        self.init(
            client: client,
            keys: keys,
            worker: worker,
            queues: queues,
            configuration: configuration,
            connection: connection,
            connected: Wakeup(),
            logger: logger
        )
    }

    /// - Parameter connected: signalled at each connect of `client`; without it a gap on that connection is closed by
    ///   the next poll.
    init(
        client: RedisClient,
        keys: RedisKeys,
        worker: Name,
        queues: [Name],
        configuration: Configuration,
        connection: RedisConnectionConfiguration,
        connected: Wakeup,
        logger: Logger
    ) {
        self.client = client
        self.keys = keys
        self.worker = worker
        self.configuration = configuration
        self.connected = connected
        self.logger = logger
        let board = WatchBoard(
            keys: keys,
            worker: worker,
            queues: queues,
            ways: configuration.ways,
            signingKey: configuration.signingKey,
            logger: logger
        )
        self.board = board
        interrupts = InterruptClient(commands: client, keys: keys)
        subscriber = RedisSubscriber(
            endpoint: client.endpoint,
            name: "interrupt-push:\(worker)",
            configuration: connection,
            log: client.log,
            channels: [keys.signals, keys.signals(worker)],
            optionalChannels: configuration.ways.contains(.tracked) ? [RedisKeys.invalidations] : [],
            onEvent: { board.receive($0) }
        )
    }

    /// Calls `deliver` with each interrupt for the run, from any thread, until ``unwatch(_:)``. One interrupt may come
    /// several times and in any order. `deliver` must return at once.
    /// `pausing` is called in the same manner each time that it changes whether the run is to be paused; with none, nobody
    /// looks.
    public func watch(
        _ order: RunOrder,
        pausing: (@Sendable (_ isToBePaused: Bool) -> Void)? = nil,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) {
        board.watch(order, pausing: pausing, deliver: deliver)
    }

    /// How many messages, flags and records could not be read as interrupts, since it began.
    public var malformedCount: Int { board.malformedCount }

    /// How many requests were not delivered because they are not signed, since it began.
    public var refusedCount: Int { board.refusedCount }

    /// Ends the deliveries of a run.
    public func unwatch(_ run: RunID) {
        board.unwatch(run)
    }

    /// Watches until its task is cancelled. Trouble with Redis never ends it: it degrades, says so, and heals.
    public func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.subscriber.run() }
            group.addTask { await self.readWhenDue() }
            group.addTask { await self.probe() }
            group.addTask {
                while !Task.isCancelled {
                    await self.connected.wait()
                    self.board.wakeup.signal()
                    self.subscriber.hurry()
                }
            }
        }
    }

    // MARK: Reading

    private func readWhenDue() async {
        var reading = KeyReading(
            client: client,
            subscriber: subscriber,
            board: board,
            isTracking: configuration.ways.contains(.tracked),
            logger: logger
        )
        var last: UInt64?
        while !Task.isCancelled {
            // Before it is decided what to read: a new connection makes everything due, and one reading is enough.
            let present = try? await client.numbered().number  // none in time: what is due counts as a failed read
            if let present, present != last {
                board.commandsReconnected(pollInterval: configuration.pollInterval)
                last = present
            }
            // Where polling is switched off, a poll that nobody is told of would only hide what it has read.
            let interval = configuration.ways.contains(.poll) ? configuration.pollInterval : .seconds(86_400)
            switch board.step(pollInterval: interval.jittered()) {
            case .wait(let instant): await board.wakeup.wait(until: instant)
            case .read(let read) where present == nil: board.readFailed(read)
            case .read(let read): await perform(read, &reading)
            }
        }
    }

    private func perform(_ read: WatchList<ContinuousClock.Instant>.Read, _ reading: inout KeyReading) async {
        do throws(RedisError) {
            for (key, value) in try await reading.values(of: read.keys) {
                await consider(value, of: key, read.ways[key] ?? .poll)
            }
            board.readSucceeded()
        } catch {
            board.readFailed(read)
        }
    }

    private func consider(_ value: [UInt8]?, of key: String, _ way: DeliveryWay) async {
        guard let role = board.newValue(value, of: key) else { return }
        if case .pause(let run) = role {
            return board.tell(isToBePaused: board.isToBePaused(by: value, of: key, run), to: run)
        }
        guard let value else { return }
        do {
            switch role {
            case .request(let run):
                for signal in board.signals(in: try SignalMessage(json: value), of: key, source: .remote, for: run) {
                    board.deliver(signal, way, to: run)
                }
            case .jobFlag(let run, let job):
                guard let message = try FlagValue.read(value, for: run) else { return }
                let signals = board.signals(in: message, of: key, source: .flag, for: run)
                if signals.isEmpty { board.setAside(key) }
                // What is signed counts by itself, also when the reply is lost: the record, which then is all that is left of
                // it, does not say that it was signed.
                let isSigned = configuration.signingKey != nil
                defer { if isSigned { for signal in signals { board.deliver(signal, way, to: run) } } }
                let imported = try await interrupts.importFlag(
                    signals,
                    run: run,
                    job: job,
                    value: value
                )
                if !isSigned, let signal = imported.says { board.deliver(signal, way, to: run) }
                // The same text set again is a new request, also before it was read that this one has gone.
                if imported.isGone { board.forgetValue(of: key) }
            case .wideFlag(let target):
                guard let message = try FlagValue.read(value) else { return }
                guard board.honoursUnsigned(at: key) else { return board.setAside(key) }
                let signal = message.signal(source: .flag, newID: .random())
                try await takeIn(signal, of: target, value: value, way)
                // It is gone now: the same text set again is a new request.
                board.forgetValue(of: key)
            case .pause: break  // told above
            }
        } catch let error as MalformedSignal {
            board.malformed(key, error)
        } catch {
            board.tryAgain(key, way)
            logger.warning("could not take a flag into the record, trying again", metadata: ["why": "\(error)"])
        }
    }

    /// Turns a flag on many into a request for its members. A run here that the server has forgotten hears of it nowhere else.
    func takeIn(
        _ signal: InterruptSignal,
        of target: InterruptTarget,
        value: [UInt8],
        _ way: DeliveryWay
    ) async throws(RedisError) {
        let meant = board.runs(meantBy: target)
        try await interrupts.importWideFlag(signal, target: target, value: value) { signal, members in
            for run in meant.subtracting(members) { board.deliver(signal, way, to: run) }
        }
    }

    // MARK: Proving the push path

    /// Sends a message to itself. A PING does not prove that a subscription delivers: a just-demoted node answers it.
    private func probe() async {
        var count = 0
        var last = ContinuousClock.now
        while !Task.isCancelled {
            // A subscription that was just made has just proved itself.
            let begin = board.subscription.map { max($0.since, last) } ?? .now
            // The time that the probe before has to come back, too. Cancelled: the loop ends.
            try? await Task.sleep(until: begin + configuration.probeInterval, clock: .continuous)
            guard let since = board.subscription?.since, since <= begin, !Task.isCancelled else { continue }
            last = .now
            count += 1
            let text = "\(worker)-\(count)"
            if !board.exchangeProbe(text) {
                logger.warning("the push path is silent, subscribing anew")
                board.forgetProbe()
                subscriber.reconnect()
                continue
            }
            do {
                try await client.settled()
                last = .now  // from now on it may come back
                let message = RedisCommand("PUBLISH", .init(keys.signals(worker)), "{\"probe\":\"\(text)\"}")
                try await PresentConnection(client: client).send(message)
            } catch {
                board.forgetProbe()  // not sent, so its silence says nothing about the subscription
            }
        }
    }
}

extension Duration {
    /// The duration plus or minus a tenth, so that many pollers do not fall into step.
    fileprivate func jittered() -> Duration { self * Double.random(in: 0.9...1.1) }
}
