public import InterruptCore
import InterruptJSON
public import Logging
import Synchronization

/// The transport over Redis: a worker's three connections (commands, subscription, queue) and the contract on them.
public final class RedisTransport: InterruptTransport {
    /// How long ended runs stay readable: a week.
    public static let retention = Duration.seconds(604_800)

    let commands: RedisClient
    let queue: RunQueue
    let checker: RedisInterruptChecker
    let interrupts: InterruptClient
    let keys: RedisKeys
    let worker: Name
    let instance: String
    private let queues: [Name]

    private struct Entry {
        var description: WorkerDescription
        /// The instance that had the name before: a server that names it again knows less than it did.
        var predecessor: String
    }

    private let signingKey: SigningKey?
    /// How the worker entered, so that it can again when the server has forgotten it.
    private let entered = Mutex<Entry?>(nil)
    /// What this instance has claimed.
    let held = HeldRuns()
    /// Of each run that has written something.
    let outputs = Mutex<[RunID: OutputBound]>([:])

    /// A transport for one instance of a worker. It connects when ``run()`` runs.
    ///
    /// - `queues`: taken from in this order, the first one first.
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
        signingKey = checking.signingKey
        let connected = Wakeup()
        var endpoint = endpoint
        endpoint.keys = keys
        var unnumbered = connection
        unnumbered.isNumbered = false
        commands = RedisClient(
            endpoint: endpoint,
            name: "interruptd:\(worker)",
            configuration: unnumbered,
            logger: logger
        ) { [held] connection throws(RedisError) in
            let client = InterruptClient(commands: connection, keys: keys)
            held.compare()
            do throws(RedisError) {
                // First of all, so that nothing else here meets runs that seem to be nobody's.
                for run in try await held.claimAgain(by: client, worker: worker, instance: instance) {
                    logger.warning("Redis had forgotten that a run was started", metadata: ["run": "\(run)"])
                }
            } catch {
                // Who may not write, or cannot now, still hears.
                guard error.code == .reply || error.code == .notPermitted else { throw error }
                logger.warning("the runs here were not compared with Redis", metadata: ["why": "\(error)"])
            }
            connected.signal()
        }
        interrupts = InterruptClient(commands: commands, keys: keys)
        queue = RunQueue(
            endpoint: endpoint,
            worker: worker,
            queues: queues,
            interrupts: interrupts,
            connection: connection,
            log: commands.log
        )
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
            ("containment", .init(description.containment)),
        ]
        let arguments = [RedisArgument(worker.description), .init(instance), .init(dead ?? "")]
        let heeded: [(String, RedisArgument)] = signingKey == nil ? [] : [("signed_only", 1)]
        let reply = try await evaluate(
            RedisScripts.enter,
            arguments + (fields + heeded).flatMap { [RedisArgument($0.0), $0.1] }
        )
        let parts = reply.array ?? []
        if parts.first?.text == "entered", parts.count == 3 {
            let earlier = parts[1].text ?? ""
            entered.withLock { entered in
                // Entering again does not make an instance its own predecessor.
                let predecessor = earlier == instance ? entered?.predecessor : earlier
                entered = Entry(description: description, predecessor: predecessor ?? "")
            }
            return (parts[2].array ?? []).compactMap(LeftRun.init)
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
        let loss: [RedisArgument] = [
            .init(run.rawValue), .init(instance), .init(why), .init(Self.retention.components.seconds),
        ]
        let reply = try await evaluate(RedisScripts.lose, loss + Self.nextRun())
        if reply.text == "replaced" { throw .replaced }
    }

    /// What a script may need that has a job tried again: the id of the new run, and chance.
    static func nextRun() -> [RedisArgument] {
        [.init(RunID.random().rawValue), .init(Int.random(in: 0..<1_000))]
    }

    /// Counts a heartbeat, and looks which of its runs the worker has lost while nobody heard of it.
    public func heartbeat(running: Int, live: Set<RunID>) async throws(TransportError) -> Set<RunID> {
        let isToCompare = held.isToCompare
        held.compare()
        let entry = entered.withLock { $0 }
        let arguments: [RedisArgument] = [
            .init(worker.description), .init(instance), .init(running), .init(checker.malformedCount),
            .init(checker.refusedCount), isToCompare ? "1" : "", .init(entry?.predecessor ?? ""),
        ]
        var reply = try await evaluate(RedisScripts.heartbeat, arguments)
        // Flushed, or as it was before this instance entered: nobody else has the name, so it is taken again. That alone counts
        // no heartbeat.
        if reply.text == "unknown", let entry {
            _ = try await enter(entry.description, replacing: entry.predecessor)
            reply = try await evaluate(RedisScripts.heartbeat, arguments)
        }
        if reply.text == "replaced" { throw .replaced }
        if reply.text == "unknown" { throw .unavailable("the server has forgotten this worker") }
        var gone: Set<RunID> = []
        if let parts = reply.array, parts.first?.text == "holds" {
            gone = try await lost(among: live.subtracting(parts.dropFirst().compactMap(\.text).map(RunID.init)))
        }
        held.wasCompared()
        return gone
    }

    /// Enters again if the server knows only the instance that this one has replaced. Answers whether it did.
    private func enterAgain() async throws(TransportError) -> Bool {
        guard let entry = entered.withLock({ $0 }), !entry.predecessor.isEmpty else { return false }
        do throws(RedisError) {
            let holder = try await commands.send(
                RedisCommand("HGET", .init(keys.worker(worker)), "instance")
            )
            guard holder.text == entry.predecessor else { return false }
        } catch {
            throw TransportError(error)
        }
        _ = try await enter(entry.description, replacing: entry.predecessor)
        return true
    }

    /// The runs that are on record as lost, or as another's. Of one that the server has forgotten nobody knows that.
    private func lost(among runs: Set<RunID>) async throws(TransportError) -> Set<RunID> {
        if runs.isEmpty { return [] }
        let runs = Array(runs)
        let fields = runs.map { RedisCommand("HMGET", .init(keys.run($0)), "state", "instance") }
        let replies: [RESPValue]
        do throws(RedisError) {
            replies = try await commands.send(fields)
        } catch {
            throw TransportError(error)
        }
        let lost = zip(runs, replies).filter { _, reply in
            guard let parts = reply.array, parts.count == 2, let state = parts[0].text.flatMap(RunState.init) else {
                return false
            }
            return state == .lost || (!state.isEnd && state != .queued && parts[1].text != instance)
        }
        return Set(lost.map(\.0))
    }

    /// Gives the name back, and to the queue what was offered and never started.
    public func leave() async {
        await queue.leave()
        // Best effort: an instance that could not say goodbye is shown as silent.
        _ = try? await evaluate(RedisScripts.leave, [.init(worker.description), .init(instance)])
    }

    // MARK: The queue

    /// Waits until at least one queued run is offered; after a connect, the consumer's own pending entries come first.
    public func offers(limit: Int) async throws(TransportError) -> [RunOffer] {
        try await queue.offers(limit: limit)
    }

    /// Claims an offered run.
    public func start(_ offer: RunOffer, gracePeriod: Duration) async throws(TransportError) -> StartResult {
        let claim: [RedisArgument] = [
            .init(offer.run.rawValue), .init(offer.queue.description), .init(offer.entry),
            .init(worker.description), .init(instance), .init(gracePeriod.milliseconds),
        ]
        var parts = try await evaluate(RedisScripts.start, claim).array ?? []
        if parts.first?.text == "replaced", try await enterAgain() {
            parts = try await evaluate(RedisScripts.start, claim).array ?? []
        }
        switch parts.first?.text {
        case "gone": return .gone
        case "held":
            queue.hold(offer, behind: parts.dropFirst().first?.text.flatMap { try? InterruptTarget($0) })
            return .gone
        case "replaced": throw .replaced
        case "started" where parts.count == 4:
            guard let record = RunRecord(reply: parts[1]), record.run == offer.run,
                var order = record.order(environment: parts[2])
            else {
                // It is claimed, and nobody can run it.
                try await end(offer.run, as: RunEnding(state: .failed, error: "the run's record is broken"))
                return .gone
            }
            held.claimed(offer, gracePeriod: gracePeriod)
            order.signature = try await signature(of: record, environment: parts[2], gracePeriod)
            return .started(order, pending: await importFlags(parts[3].array ?? [], for: order))
        default: throw .refused("start: unexpected reply from the server")
        }
    }

    /// Whether the claimed run is signed, at this moment of the server's clock.
    private func signature(
        of record: RunRecord,
        environment: RESPValue,
        _ gracePeriod: Duration
    ) async throws(TransportError) -> RunSignature {
        guard let signingKey else { return .unchecked }
        let run = ClaimedRun(
            record: record,
            environment: environment,
            workersGracePeriod: gracePeriod,
            namespace: keys.namespace
        )
        do throws(RedisError) {
            return run.check(with: signingKey, now: try await interrupts.serverTime())
        } catch {
            throw TransportError(error)
        }
    }

    /// What lay in the mailboxes when the run was claimed. A flag that cannot be taken in now is found by the first poll.
    private func importFlags(_ flags: [RESPValue], for order: RunOrder) async -> [InterruptSignal] {
        var pending: [InterruptSignal] = []
        for index in stride(from: 0, to: flags.count - 1, by: 2) {
            guard let target = flags[index].text.flatMap({ try? InterruptTarget($0) }),
                let value = flags[index + 1].bytes
            else { continue }
            // Only a job's flag may be for one run of it.
            let isJobs: Bool = if case .job = target { true } else { false }
            guard let message = try? FlagValue.read(value, for: isJobs ? order.run : nil) else { continue }
            if case .job(let job) = target {
                let signals = checker.board.signals(in: message, of: keys.flag(target), source: .flag, for: order.run)
                let imported = try? await interrupts.importFlag(
                    signals,
                    areSigned: signingKey != nil,
                    run: order.run,
                    job: job,
                    value: value
                )
                pending += imported?.signals ?? []
            } else if checker.board.honoursUnsigned(at: keys.flag(target)) {
                let signal = message.signal(source: .flag, newID: .random())
                try? await interrupts.importWideFlag(signal, target: target, value: value)
                pending.append(signal)
            }
        }
        return pending
    }

    /// Returns offers that this worker will not start to the end of their queues.
    public func giveBack(_ offers: [RunOffer]) async throws(TransportError) {
        try await queue.giveBack(offers)
    }

    /// How many runs wait in the worker's queues; `nil` when it could not be asked.
    public func waitingCount() async -> Int? {
        // Only shown to a person: no answer is an answer.
        guard let replies = try? await commands.send(queues.map { RedisCommand("XLEN", .init(keys.queue($0))) }) else {
            return nil
        }
        let counts = replies.compactMap(\.integer)
        return counts.count == replies.count ? counts.reduce(0) { $0 + Int($1) } : nil
    }

    func evaluate(_ script: RedisScript, _ arguments: [RedisArgument]) async throws(TransportError) -> RESPValue {
        do throws(RedisError) {
            return try await interrupts.evaluate(script, arguments)
        } catch {
            throw TransportError(error)
        }
    }
}
