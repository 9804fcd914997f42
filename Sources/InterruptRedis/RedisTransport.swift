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
    /// For claims: the worker may be told to take nothing new while one waits to be sent.
    private let claims: InterruptClient
    let keys: RedisKeys
    let worker: Name
    let instance: String
    private let logger: Logger
    private let queues: [Name]
    let signingKey: SigningKey?
    /// How the worker entered, so that it can again when the server has forgotten it.
    let entered = Mutex<NameEntry?>(nil)
    /// What this instance has claimed.
    let held = HeldRuns()
    /// How many submissions the worker has refused, which its heartbeats tell.
    let refusedSubmissions = Atomic<Int>(0)
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
        self.logger = logger
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
            held.ask()
            do throws(RedisError) {
                // First of all, so that nothing else here meets runs that seem to be nobody's.
                try await held.compare(by: client, worker: worker, instance: instance, logger)
            } catch {
                // Who may not write still hears, and asks again. A server that is busy with something else is asked anew.
                let isRefused = error.code == .reply && error.replyPrefix != "BUSY" || error.code == .notPermitted
                if !isRefused { throw error }
                held.comparisonWasRefused()
                logger.warning("the runs here were not compared with Redis", metadata: ["why": "\(error)"])
            }
            connected.signal()
        }
        interrupts = InterruptClient(commands: commands, keys: keys)
        claims = InterruptClient(commands: PresentConnection(client: commands), keys: keys)
        queue = RunQueue(
            endpoint: endpoint,
            worker: worker,
            queues: queues,
            commands: commands,
            keys: keys,
            connection: connection
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

    /// Counts a submission that the worker does not run: against its rules, or not signed as it has to be.
    public func countRefusedSubmission() { refusedSubmissions.add(1, ordering: .relaxed) }

    // MARK: The queue

    /// Waits until at least one queued run is offered; after a connect, the consumer's own pending entries come first.
    public func offers(limit: Int) async throws(TransportError) -> [RunOffer] {
        try await queue.offers(limit: limit)
    }

    /// Claims an offered run.
    public func start(_ offer: RunOffer, gracePeriod: Duration) async throws(TransportError) -> StartResult {
        // Once the runs here are compared, the server knows that it has ended.
        if held.isEndUncompared(of: offer.run) { throw .notCompared }
        let claim: [RedisArgument] = [
            .init(offer.run.rawValue), .init(offer.queue.description), .init(offer.entry),
            .init(worker.description), .init(instance), .init(gracePeriod.milliseconds),
        ]
        let parts = try await evaluate(RedisScripts.start, claim, by: claims).array ?? []
        switch parts.first?.text {
        case "gone": return .gone
        case "held":
            queue.hold(offer, behind: parts.dropFirst().first?.text.flatMap { try? InterruptTarget($0) })
            return .gone
        // Meanwhile the worker may have been told to take nothing new: it decides again.
        case "replaced": throw try await enterAgain() ? .unavailable("the worker has entered again") : .replaced
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
                    run: order.run,
                    job: job,
                    value: value
                )
                // What is signed counts by itself: the record of it will not say that it was.
                pending += signingKey != nil ? signals : (imported?.says).map { [$0] } ?? []
            } else if checker.board.honoursUnsigned(at: keys.flag(target)) {
                let signal = message.signal(source: .flag, newID: .random())
                try? await checker.takeIn(signal, of: target, value: value, .start)
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

    /// Compares the runs here with the server's records, where that was refused after the connect.
    func compareAgain() async {
        guard held.isUncompared else { return }
        // Refused again, or not answered: with the next heartbeat.
        try? await held.compare(by: interrupts, worker: worker, instance: instance, logger)
    }

    func evaluate(
        _ script: RedisScript,
        _ arguments: [RedisArgument],
        by client: InterruptClient? = nil
    ) async throws(TransportError) -> RESPValue {
        do throws(RedisError) {
            return try await (client ?? interrupts).evaluate(script, arguments)
        } catch {
            throw TransportError(error)
        }
    }
}
