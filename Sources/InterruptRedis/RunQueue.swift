import InterruptCore
import Logging
import Synchronization

/// The queues of a worker, on a connection of its own: one that blocks carries nothing else.
final class RunQueue: Sendable {
    /// How long the server lets the connection wait before it answers that there is nothing.
    private static let wait = Duration.seconds(5)
    private let client: RedisClient
    private let commands: RedisClient
    private let interrupts: InterruptClient
    private let keys: RedisKeys
    private let worker: Name
    private let queues: [Name]
    private let pendingEntries: PendingEntries
    private let connected: Wakeup
    private let held: Mutex<HeldQueues<ContinuousClock.Instant>>

    /// How far this consumer's own pending entries were read since they had to be read again.
    private final class PendingEntries: Sendable {
        /// `nil` when they all were read.
        private let state = Mutex<[Name: String]?>([:])

        func readAgain() { state.withLock { $0 = [:] } }

        var cursors: [Name: String]? { state.withLock { $0 } }

        func read(_ offers: [RunOffer]) {
            state.withLock { cursors in
                if offers.isEmpty { cursors = nil }
                for offer in offers { cursors?[offer.queue] = offer.entry }
            }
        }
    }

    /// - Parameters:
    ///   - commands: carries the scripts.
    ///   - queues: taken from in this order, the first one first.
    init(
        endpoint: RedisEndpoint,
        worker: Name,
        queues: [Name],
        commands: RedisClient,
        keys: RedisKeys,
        connection: RedisConnectionConfiguration
    ) {
        self.commands = commands
        interrupts = InterruptClient(commands: commands, keys: keys)
        self.worker = worker
        self.queues = queues
        held = Mutex(HeldQueues(queues: queues))
        self.keys = keys
        let pendingEntries = PendingEntries()
        self.pendingEntries = pendingEntries
        let connected = Wakeup()
        self.connected = connected
        // A blocked command cannot be told from a dead link by PING; its own limit takes that part.
        var blocking = connection
        blocking.pingInterval = nil
        blocking.isNumbered = false
        client = RedisClient(
            endpoint: endpoint,
            name: "interrupt-queue:\(worker)",
            configuration: blocking,
            log: commands.log
        ) { connection throws(RedisError) in
            pendingEntries.readAgain()
            connected.signal()
            // A queue that is on its way to another node (ASK) has its group, or is read as one that lacks it.
            let creations = queues.map {
                RedisCommand("XGROUP", "CREATE", .init(keys.queue($0)), .init(RedisKeys.consumerGroup), "0", "MKSTREAM")
            }
            for case .error(let text) in try await connection.send(creations, timeout: nil)
            where !text.hasPrefix("BUSYGROUP") && !text.hasPrefix("ASK ") {
                throw RedisError.fromReply(text)
            }
        }
    }

    /// Keeps the connection until its task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.client.run() }
            group.addTask { await self.returnUnclaimed() }
        }
    }

    /// A server that has not noticed that a connection is lost still gives it what comes, for as long as that waits there; and
    /// there may be more than this worker has slots for. What it does not start within that time goes back, for anyone.
    private func returnUnclaimed() async {
        // It has no hurry: it waits for no connection, and leaves a new one's first second to others.
        let present = InterruptClient(commands: PresentConnection(client: commands), keys: keys)
        var lastDone: UInt64?
        while !Task.isCancelled {
            guard let number = try? await client.numbered().number else { continue }  // none in time: waits again
            if number == lastDone {
                await connected.wait()
                continue
            }
            // Until the server has answered what waited on the connection before. Cancelled: it ends.
            try? await Task.sleep(for: Self.wait + .seconds(1))
            // A connection that was made meanwhile begins that anew.
            guard client.present?.number == number else { continue }
            do {
                try await commands.settled()
                try await takeBack(from: worker, by: present)
                lastDone = number
            } catch {
                client.log.logger.debug("missed offers are not returned yet", metadata: ["why": "\(error)"])
            }
        }
    }

    /// An offered run was put back because `target` is behind a gate: its like is not offered for a moment.
    func hold(_ offer: RunOffer, behind target: InterruptTarget?) {
        held.withLock { $0.meet(offer, behind: target, now: .now) }
    }

    /// Gives everything back that was offered and never started.
    func leave() async throws(TransportError) {
        // A read that was given up has closed its connection. Once one answers, the server gives nothing to that any more.
        do throws(RedisError) {
            _ = try await client.send(RedisCommand("PING"), timeout: .seconds(2))
        } catch {
            throw TransportError(error)
        }
        try await takeBack(from: worker)
    }

    /// Waits until at least one queued run is offered; after a connect, or when something could not be given back, the
    /// consumer's own pending entries come first.
    func offers(limit: Int) async throws(TransportError) -> [RunOffer] {
        while !Task.isCancelled {
            let (open, next) = held.withLock { $0.open(at: .now) }
            if open.isEmpty, let next {
                try? await Task.sleep(until: next, clock: .continuous)  // cancelled: nothing is offered any more
                continue
            }
            let offers: [RunOffer]
            if let cursors = pendingEntries.cursors {
                offers = try await pending(after: cursors, limit: limit)
                pendingEntries.read(offers)
            } else {
                offers = try await new(limit: limit, from: open, until: next)
            }
            if !offers.isEmpty { return offers }
        }
        return []
    }

    private func pending(after cursors: [Name: String], limit: Int) async throws(TransportError) -> [RunOffer] {
        try await readInOrder(queues.map { ($0, cursors[$0] ?? "0") }, limit: limit)
    }

    /// One queue after the other. One that cannot be read keeps nobody from what others have given: that is met again when
    /// they give nothing.
    private func readInOrder(
        _ streams: [(queue: Name, id: String)],
        limit: Int
    ) async throws(TransportError) -> [RunOffer] {
        var offers: [RunOffer] = []
        for stream in streams where offers.count < limit {
            do throws(TransportError) {
                offers += try await read([stream], limit: limit - offers.count)
            } catch {
                if offers.isEmpty { throw error }
                break
            }
        }
        return offers
    }

    /// COUNT is per stream, so strict order and one limit for all queues take one question for each. Only when all of
    /// them are empty they are waited for together; what that brings beyond the limit goes back.
    private func new(
        limit: Int,
        from queues: [Name],
        until next: ContinuousClock.Instant?
    ) async throws(TransportError) -> [RunOffer] {
        // No longer than until a queue is asked again that was left alone. 0 would wait without end.
        let left = next.map { max(.milliseconds(1), ContinuousClock.now.duration(to: $0)) }
        let wait = min(Self.wait, left ?? Self.wait)
        if queues.count == 1 { return try await read([(queues[0], ">")], limit: limit, waitingFor: wait) }
        var offers = try await readInOrder(queues.map { ($0, ">") }, limit: limit)
        if !offers.isEmpty { return offers }
        offers = try await read(queues.map { ($0, ">") }, limit: 1, waitingFor: wait)
        if offers.count > limit {
            try? await giveBack(Array(offers[limit...]))  // what stays pending comes again with the next offers
        }
        return Array(offers.prefix(limit))
    }

    private func read(
        _ streams: [(queue: Name, id: String)],
        limit: Int,
        waitingFor wait: Duration? = nil
    ) async throws(TransportError) -> [RunOffer] {
        var arguments: [RedisArgument] = ["GROUP", .init(RedisKeys.consumerGroup), .init(worker.description)]
        arguments += ["COUNT", .init(limit)]
        if let wait { arguments += ["BLOCK", .init(max(1, wait.milliseconds))] }
        arguments += ["STREAMS"] + streams.map { .init(keys.queue($0.queue)) } + streams.map { .init($0.id) }
        do throws(RedisError) {
            let reply = try await client.send(
                RedisCommand("XREADGROUP", arguments),
                timeout: Self.wait + .seconds(2)
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
            if error.replyPrefix == "NOGROUP" { client.reconnect() }  // flushed: connecting creates the groups
            throw TransportError(error)
        }
    }

    /// Returns what a worker was offered and has not started to the end of the queues that this one takes from, too. Should
    /// it start some of that after all, the start script lets each run start once.
    func takeBack(from holder: Name) async throws(TransportError) {
        try await takeBack(from: holder, by: interrupts)
    }

    private func takeBack(from holder: Name, by client: InterruptClient) async throws(TransportError) {
        do throws(RedisError) {
            for queue in queues { while try await takeBack(100, from: holder, in: queue, by: client) == 100 {} }
        } catch {
            if error.replyPrefix == "NOGROUP" { return }  // flushed: nothing is pending
            throw TransportError(error)
        }
    }

    /// Answers how many it were.
    private func takeBack(
        _ limit: Int,
        from holder: Name,
        in queue: Name,
        by client: InterruptClient
    ) async throws(RedisError) -> Int {
        let arguments: [RedisArgument] = [
            .init(keys.queue(queue)), .init(RedisKeys.consumerGroup), "-", "+", .init(limit), .init(holder.description),
        ]
        let pending = try await client.commands.send(RedisCommand("XPENDING", arguments))
        let entries = (pending.array ?? []).compactMap { $0.array?.first?.text }
        if entries.isEmpty { return 0 }
        let found = try await client.commands.send(
            entries.map { RedisCommand("XRANGE", .init(keys.queue(queue)), .init($0), .init($0)) }
        )
        var offers: [RedisArgument] = []
        for (entry, reply) in zip(entries, found) {
            if case .error(let text) = reply { throw RedisError.fromReply(text) }
            let offer = reply.array?.first.flatMap { RunOffer(queue: queue, entry: $0) }
            offers += [.init(offer?.run.rawValue ?? ""), .init(entry)]
        }
        _ = try await client.evaluate(RedisScripts.giveBack, [.init(queue.description)] + offers)
        return entries.count
    }

    /// Returns offers that this worker will not start to the end of their queues.
    func giveBack(_ offers: [RunOffer]) async throws(TransportError) {
        for (queue, offers) in Dictionary(grouping: offers, by: \.queue) {
            let entries = offers.flatMap { [RedisArgument($0.run.rawValue), .init($0.entry)] }
            do throws(RedisError) {
                _ = try await interrupts.evaluate(RedisScripts.giveBack, [.init(queue.description)] + entries)
            } catch {
                pendingEntries.readAgain()  // they are still this consumer's, and offered again
                throw TransportError(error)
            }
        }
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
