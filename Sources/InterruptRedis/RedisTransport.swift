public import InterruptCore
public import Logging
import Synchronization

/// The transport over Redis: a worker's three connections (commands, subscription, queue) and the contract on them.
public final class RedisTransport: InterruptTransport {
    /// How long ended runs stay readable: a week.
    public static let retention = Duration.seconds(604_800)
    /// How long the server lets the queue connection wait before it answers that there is nothing.
    private static let queueWait = Duration.seconds(5)

    /// How long a worker behind a gate leaves the queue to others before it looks again.
    private static let holdInterval = Duration.seconds(1)

    private let commands: RedisClient
    private let queue: RedisClient
    private let checker: RedisInterruptChecker
    private let interrupts: InterruptClient
    private let keys: RedisKeys
    private let worker: Name
    private let instance: String
    private let queues: [Name]
    private let pendingEntries: PendingEntries
    private let heldUntil = Mutex<ContinuousClock.Instant?>(nil)

    /// How far this consumer's own pending entries were read since the last connect; `nil` when they all were.
    private final class PendingEntries: Sendable {
        private let cursors = Mutex<[Name: String]?>([:])
        func connected() { cursors.withLock { $0 = [:] } }
        var now: [Name: String]? { cursors.withLock { $0 } }
        func read(_ offers: [RunOffer]) {
            cursors.withLock { cursors in
                if offers.isEmpty { cursors = nil }
                for offer in offers { cursors?[offer.queue] = offer.entry }
            }
        }
    }

    /// A transport for one instance of a worker. It connects when ``run()`` runs.
    ///
    /// - Parameter queues: taken from in this order, the first one first.
    public init(
        endpoint: RedisEndpoint,
        keys: RedisKeys,
        worker: Name,
        instance: String,
        queues: [Name],
        checking: RedisInterruptChecker.Configuration = .init(),
        connection: RedisConnectionConfiguration = .init(),
        logger: Logger
    ) {
        self.keys = keys
        self.worker = worker
        self.instance = instance
        self.queues = queues
        let pendingEntries = PendingEntries()
        self.pendingEntries = pendingEntries
        let connected = Wakeup()
        commands = RedisClient(
            endpoint: endpoint,
            name: "interruptd:\(worker)",
            configuration: connection,
            logger: logger
        ) { _ throws(RedisError) in
            connected.signal()
        }
        // A blocked command cannot be told from a dead link by PING; its own limit takes that part.
        var blocking = connection
        blocking.pingInterval = nil
        queue = RedisClient(
            endpoint: endpoint,
            name: "interrupt-queue:\(worker)",
            configuration: blocking,
            logger: logger
        ) { connection throws(RedisError) in
            pendingEntries.connected()
            let creations = queues.map {
                RedisCommand("XGROUP", "CREATE", .init(keys.queue($0)), .init(RedisKeys.consumerGroup), "0", "MKSTREAM")
            }
            for case .error(let text) in try await connection.send(creations, timeout: nil)
            where !text.hasPrefix("BUSYGROUP") {
                throw RedisError.fromReply(text)
            }
        }
        interrupts = InterruptClient(commands: commands, keys: keys)
        checker = RedisInterruptChecker(
            client: commands,
            keys: keys,
            worker: worker,
            queues: queues,
            configuration: checking,
            connection: connection,
            connected: connected,
            logger: logger
        )
    }

    /// Holds the connections and watches the runs; returns when its task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.commands.run() }
            group.addTask { await self.queue.run() }
            group.addTask { await self.checker.run() }
        }
    }

    // MARK: The worker's name

    /// Takes the worker's name for this instance, and returns the runs that an earlier instance has left behind.
    public func enter(
        _ description: WorkerDescription,
        replacing dead: String?
    ) async throws(TransportError) -> [LeftRun] {
        let process = description.process
        let fields: [(String, RedisArgument)] = [
            ("host", .init(description.host)), ("pid", .init(process.pid)), ("pid_start", .init(process.start)),
            ("boot", .init(process.boot)), ("slots", .init(description.slots)),
            ("version", .init(description.version)), ("lease_ms", .init(description.lease.milliseconds)),
            ("queues", .init(description.queues.map(\.description).joined(separator: " "))),
        ]
        let arguments = [RedisArgument(worker.description), .init(instance), .init(dead ?? "")]
        let reply = try await evaluate(
            RedisScripts.enter,
            arguments + fields.flatMap { [RedisArgument($0.0), $0.1] }
        )
        let parts = reply.array ?? []
        if parts.first?.text == "entered", parts.count == 2 {
            return (parts[1].array ?? []).compactMap(LeftRun.init)
        }
        if parts.first?.text == "in_use", parts.count == 2,
            let holder = WorkerRecord(name: worker.description, reply: parts[1])
        {
            throw .nameInUse(by: holder.nameHolder)
        }
        throw .refused("enter: unexpected reply from the server")
    }

    /// Ends a run that an earlier instance left behind and that is verified to be gone.
    public func lose(_ run: RunID, why: String) async throws(TransportError) {
        let reply = try await evaluate(
            RedisScripts.lose,
            [.init(run.rawValue), .init(instance), .init(why), .init(Self.retention.components.seconds)]
        )
        if reply.text == "replaced" { throw .replaced }
    }

    /// Counts a heartbeat.
    public func heartbeat(running: Int) async throws(TransportError) {
        let reply = try await evaluate(
            RedisScripts.heartbeat,
            [.init(worker.description), .init(instance), .init(running)]
        )
        if reply.text == "replaced" { throw .replaced }
    }

    /// Gives the name back, and to the queue what was offered and never started.
    public func leave() async {
        // A read that was given up still waits at the server, where it would hold up the next one, or take an entry.
        queue.reconnect()
        // Best effort: what stays pending is this name's again when it comes back.
        if let offers = try? await pending(after: [:], limit: 1_000, within: .seconds(2)) {
            try? await giveBack(offers)
        }
        // Best effort: an instance that could not say goodbye is found out by its silence.
        _ = try? await evaluate(RedisScripts.leave, [.init(worker.description), .init(instance)])
    }

    // MARK: The queue

    /// Waits until at least one queued run is offered; after a connect, the consumer's own pending entries come first.
    public func offers(limit: Int) async throws(TransportError) -> [RunOffer] {
        if let instant = heldUntil.withLock({ $0.take() }) {
            try? await Task.sleep(until: instant, clock: .continuous)  // cancelled: nothing is offered any more
        }
        while !Task.isCancelled {
            let offers: [RunOffer]
            if let cursors = pendingEntries.now {
                offers = try await pending(after: cursors, limit: limit)
                pendingEntries.read(offers)
            } else {
                offers = try await new(limit: limit)
            }
            if !offers.isEmpty { return offers }
        }
        return []
    }

    private func pending(
        after cursors: [Name: String],
        limit: Int,
        within timeout: Duration = queueWait + .seconds(2)
    ) async throws(TransportError) -> [RunOffer] {
        var offers: [RunOffer] = []
        for queue in queues where offers.count < limit {
            offers += try await read(
                [(queue, cursors[queue] ?? "0")],
                limit: limit - offers.count,
                within: timeout
            )
        }
        return offers
    }

    /// COUNT is per stream, so strict order and one limit for all queues take one question for each. Only when all of
    /// them are empty they are waited for together; what that brings beyond the limit goes back.
    private func new(limit: Int) async throws(TransportError) -> [RunOffer] {
        if queues.count == 1 { return try await read([(queues[0], ">")], limit: limit, waits: true) }
        var offers: [RunOffer] = []
        for queue in queues where offers.count < limit {
            offers += try await read([(queue, ">")], limit: limit - offers.count)
        }
        if !offers.isEmpty { return offers }
        offers = try await read(queues.map { ($0, ">") }, limit: 1, waits: true)
        if offers.count > limit { try await giveBack(Array(offers[limit...])) }
        return Array(offers.prefix(limit))
    }

    private func read(
        _ streams: [(queue: Name, id: String)],
        limit: Int,
        waits: Bool = false,
        within timeout: Duration = queueWait + .seconds(2)
    ) async throws(TransportError) -> [RunOffer] {
        var arguments: [RedisArgument] = ["GROUP", .init(RedisKeys.consumerGroup), .init(worker.description)]
        arguments += ["COUNT", .init(limit)]
        if waits { arguments += ["BLOCK", .init(Self.queueWait.milliseconds)] }
        arguments += ["STREAMS"] + streams.map { .init(keys.queue($0.queue)) } + streams.map { .init($0.id) }
        do throws(RedisError) {
            let reply = try await queue.send(
                RedisCommand("XREADGROUP", arguments),
                timeout: timeout
            )
            // A key the server answers with is one that was asked for; strict order of the queues is the order of both.
            return (reply.array ?? []).flatMap { stream in
                let parts = stream.array ?? []
                guard parts.count == 2, let queue = queues.first(where: { keys.queue($0) == parts[0].text }) else {
                    return [RunOffer]()
                }
                return (parts[1].array ?? []).compactMap { RunOffer(queue: queue, entry: $0) }
            }
        } catch {
            if error.replyPrefix == "NOGROUP" { queue.reconnect() }  // flushed: connecting creates the groups
            throw TransportError(error)
        }
    }

    /// Claims an offered run.
    public func start(_ offer: RunOffer) async throws(TransportError) -> StartResult {
        let reply = try await evaluate(
            RedisScripts.start,
            [
                .init(offer.run.rawValue), .init(offer.queue.description), .init(offer.entry),
                .init(worker.description), .init(instance),
            ]
        )
        let parts = reply.array ?? []
        switch parts.first?.text {
        case "gone": return .gone
        case "held":
            heldUntil.withLock { $0 = .now + Self.holdInterval }
            return .gone
        case "replaced": throw .replaced
        case "started" where parts.count == 4:
            guard let record = RunRecord(reply: parts[1]), let order = record.order(environment: parts[2]) else {
                throw .refused("run \(offer.run) has a broken record")
            }
            return .started(order, pending: await importFlags(parts[3].array ?? [], for: order))
        default: throw .refused("start: unexpected reply from the server")
        }
    }

    /// What lay in the mailboxes when the run was claimed. A flag that cannot be taken in now is found by the first poll.
    private func importFlags(_ flags: [RESPValue], for order: RunOrder) async -> [InterruptSignal] {
        var pending: [InterruptSignal] = []
        for index in stride(from: 0, to: flags.count - 1, by: 2) {
            guard let target = flags[index].text.flatMap({ try? InterruptTarget($0) }),
                let value = flags[index + 1].bytes, let message = try? FlagValue.read(value)
            else { continue }
            let signal = message.signal(source: .flag, newID: .random())
            if case .job(let job) = target {
                let recorded = try? await interrupts.importFlag(signal, run: order.run, job: job, value: value)
                if let recorded { pending.append(recorded) }
            } else {
                try? await interrupts.importWideFlag(signal, target: target, value: value)
                pending.append(signal)
            }
        }
        return pending
    }

    /// Returns offers that this worker will not start to the end of their queues.
    public func giveBack(_ offers: [RunOffer]) async throws(TransportError) {
        for (queue, offers) in Dictionary(grouping: offers, by: \.queue) {
            _ = try await evaluate(
                RedisScripts.giveBack,
                [.init(queue.description)] + offers.flatMap { [RedisArgument($0.run.rawValue), .init($0.entry)] }
            )
        }
    }

    // MARK: A run

    /// Delivers each interrupt for the run, from any thread.
    public func watch(_ order: RunOrder, deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void) {
        checker.watch(order, deliver: deliver)
    }

    /// Ends the deliveries of a run.
    public func unwatch(_ run: RunID) {
        checker.unwatch(run)
    }

    /// Writes the worker's receipt for an interrupt, and puts the interrupt on record if nobody has.
    public func acknowledge(
        _ signal: InterruptSignal,
        way: DeliveryWay,
        for run: RunID
    ) async throws(TransportError) {
        let reply = try await evaluate(
            RedisScripts.acknowledge,
            signal.arguments + [.init(run.rawValue), .init(instance), .init(way.rawValue)]
        )
        if reply.text == "replaced" { throw .replaced }
    }

    /// Records the leader's process, which has its environment now: nobody needs to read it any more.
    public func spawned(_ run: RunID, process: ProcessIdentity) async throws(TransportError) {
        let record = RedisCommand(
            "HSET",
            .init(keys.run(run)),
            "pid",
            .init(process.pid),
            "pid_start",
            .init(process.start),
            "boot",
            .init(process.boot)
        )
        do throws(RedisError) {
            let replies = try await commands.send([record, RedisCommand("DEL", .init(keys.environment(run)))])
            for case .error(let text) in replies { throw RedisError.fromReply(text) }
        } catch {
            throw TransportError(error)
        }
    }

    /// Adds to the bounded tail of a run's output: about the last thousand chunks.
    public func append(_ output: [OutputChunk], of run: RunID) async throws(TransportError) {
        let additions = output.map { chunk in
            RedisCommand(
                "XADD",
                .init(keys.output(run)),
                "MAXLEN",
                "~",
                "1000",
                "*",
                "stream",
                .init(chunk.stream.rawValue),
                "offset",
                .init(chunk.offset),
                "data",
                .init(chunk.bytes)
            )
        }
        do throws(RedisError) {
            for case .error(let text) in try await commands.send(additions) { throw RedisError.fromReply(text) }
        } catch {
            throw TransportError(error)
        }
    }

    /// Records how the run ended.
    public func end(_ run: RunID, as ending: RunEnding) async throws(TransportError) {
        let arguments: [RedisArgument] = [
            .init(run.rawValue), .init(instance), .init(ending.state.rawValue),
            .init(ending.exitCode.map { "\($0)" } ?? ""), .init(ending.termSignal.map { "\($0)" } ?? ""),
            .init(ending.dumpedCore ? "1" : ""), .init(ending.isLateInterrupt ? "1" : ""), .init(ending.error ?? ""),
            .init(Self.retention.components.seconds),
        ]
        let reply = try await evaluate(RedisScripts.end, arguments)
        if reply.text == "replaced" { throw .replaced }
    }

    private func evaluate(_ script: RedisScript, _ arguments: [RedisArgument]) async throws(TransportError) -> RESPValue
    {
        do throws(RedisError) {
            return try await interrupts.evaluate(script, arguments)
        } catch {
            throw TransportError(error)
        }
    }
}

extension TransportError {
    /// What the server answered is a refusal; everything else may be better in a moment.
    init(_ error: RedisError) {
        let passing: Set<String> = [
            "LOADING", "BUSY", "MASTERDOWN", "READONLY", "NOREPLICAS", "MISCONF", "OOM", "TRYAGAIN",
        ]
        switch error.code {
        case .reply where !passing.contains(error.replyPrefix ?? "") && error.replyPrefix != "NOGROUP":
            self = .refused(error.message)
        default:
            self = .unavailable(error.message)
        }
    }
}

extension WorkerRecord {
    fileprivate var nameHolder: NameHolder {
        NameHolder(
            instance: instance,
            host: host,
            process: ProcessIdentity(boot: boot, pid: pid, start: processStart)
        )
    }
}

extension LeftRun {
    fileprivate init?(reply: RESPValue) {
        guard let parts = reply.array?.map({ $0.text ?? "" }), parts.count == 4 else { return nil }
        let process: ProcessIdentity? =
            if let pid = Int32(parts[2]), let start = UInt64(parts[3]) {
                ProcessIdentity(boot: parts[1], pid: pid, start: start)
            } else {
                nil
            }
        self.init(run: RunID(rawValue: parts[0]), process: process)
    }
}

extension RunOffer {
    fileprivate init?(queue: Name, entry: RESPValue) {
        guard let parts = entry.array, parts.count == 2, let id = parts[0].text else { return nil }
        // An entry that was deleted while it was pending has no fields; the start script clears it away.
        let fields = parts[1].array?.compactMap(\.text) ?? []
        self.init(run: RunID(rawValue: fields.count == 2 ? fields[1] : ""), queue: queue, entry: id)
    }
}
