import InterruptCore

@testable import InterruptRedis
@testable import InterruptWorker

/// One instance of a worker: takes runs from the queues while it has slots, as `Worker+Queue` and `RunQueue` do.
final class ModelWorker {
    let world: World
    let server: ModelServer
    let name: Name
    let instance: Int
    let commands: ModelClient
    let queue: ModelClient
    let checker: ModelChecker
    private let queues: [Name]
    let slots: Int
    private var decisions: WorkerState
    private var held: HeldQueues<VirtualInstant>
    private(set) var runs: [RunID: ModelRun] = [:]
    var lease: Lease<VirtualInstant>
    var watch: SilenceWatch<VirtualInstant>
    private var isAsking = false
    private var hasEntered = false
    /// How often what is left of an earlier connection is to go back to the queues.
    private var returning = 0
    /// How far this consumer's own pending entries were read since a connect; `nil` when they all were.
    private var cursors: [Name: Int]? = [:]
    private var drainedAt: VirtualInstant?
    private(set) var hasCrashed = false

    init(_ world: World, _ server: ModelServer, _ name: Name, queues: [Name], slots: Int, lease length: Duration) {
        (self.world, self.server, self.name, self.queues, self.slots) = (world, server, name, queues, slots)
        instance = world.newID()
        lease = Lease(length: length)
        watch = SilenceWatch(own: "\(instance)", lease: length)
        commands = ModelClient(world, server)
        queue = ModelClient(world, server, pingInterval: nil)
        checker = ModelChecker(world, server, name, commands, queues: queues)
        decisions = WorkerState(slots: slots)
        held = HeldQueues(queues: queues)
        commands.onConnected = { [unowned self] _ in checker.commandsReconnected() }
        queue.prepare = { [unowned self] _, done in
            cursors = [:]
            done(true)
            // When the server has answered what waited on the connection before.
            returning += 1
            world.after(.seconds(6)) { [self] in
                if hasCrashed { return }
                write(.returnUnclaimed(worker: name.description)) { [self] _ in returning -= 1 }
            }
        }
    }

    func begin() {
        commands.connect()
        queue.connect()
        checker.begin()
        enter()
    }

    private func enter() {
        write(.enter(worker: name.description, instance: instance, lease: lease.length)) { [self] reply in
            for run in reply.array?.compactMap(\.text) ?? [] {
                write(.lose(RunID(rawValue: run), instance: instance)) { _ in }
            }
            hasEntered = true
            beat()
            survey()
            ask()
        }
    }

    /// The process is gone, and its guard has ended the trees.
    func crash() {
        world.tell("\(name) crashes")
        for run in runs.values.sorted(by: { $0.order.run.rawValue < $1.order.run.rawValue }) { run.vanish() }
        close()
    }

    /// It is over for it as well; its processes do not matter any more.
    func close() {
        hasCrashed = true
        checker.end()
        commands.end()
        queue.end()
    }

    /// The cable is pulled, for a while.
    func cutOff(until end: VirtualInstant) {
        world.tell("\(name) is cut off for \(world.now.duration(to: end))")
        commands.cutOff(until: end)
        queue.cutOff(until: end)
        checker.cutOff(until: end)
    }

    func drain() {
        world.tell("\(name) drains")
        if !isDraining { drainedAt = world.now }
        _ = decisions.escalate(to: .drain)
    }

    /// Whether all of its slots are free, and it would take what there is.
    var isIdle: Bool { hasEntered && !isDraining && decisions.heldCount == 0 }

    /// Whether it takes what there is.
    var hasFreeSlot: Bool { decisions.freeSlots > 0 }

    /// Whether it is connected and heard, has given back what it has to, claims nothing, and has no run that is to end or has
    /// something to put on record, or is over on record.
    var isAtRest: Bool {
        hasEntered && commands.isConnected && queue.isConnected && checker.isConnected && isHeard
            && returning == 0 && decisions.heldCount == runs.count
            && runs.allSatisfy { $1.isAtRest && server.runs[$0]?.state == .running }
    }

    /// Whether heartbeats are heard: with less than two to go, one was not.
    private var isHeard: Bool {
        lease.fence.map { world.now.duration(to: $0) > lease.heartbeatInterval * 2 } ?? false
    }

    var isDraining: Bool { decisions.stage != nil }

    /// Whether it still holds the run.
    func holds(_ run: RunID) -> Bool { runs[run] != nil }

    // MARK: The queue

    private func ask() {
        guard hasEntered, !isAsking, !hasCrashed else { return }
        let free = decisions.freeSlots
        if free < 0 || decisions.heldCount > slots { world.broken("\(name) holds more runs than it has slots") }
        guard free > 0 else { return }
        isAsking = true
        world.tell("\(name) asks for \(free), \(cursors == nil ? "new" : "pending")")
        let (open, next) = held.open(at: world.now)
        if open.isEmpty, let next {
            return world.at(next) { [self] in
                isAsking = false
                ask()
            }
        }
        if let cursors {
            let commands = queues.map {
                ModelServer.Command.pending(worker: name.description, queue: $0, after: cursors[$0] ?? 0, limit: free)
            }
            return queue.send("XREADGROUP", commands, timeout: .seconds(2)) { [self] in take($0, free, isPending: true)
            }
        }
        let wait = min(.seconds(5), next.map { max(.milliseconds(1), world.now.duration(to: $0)) } ?? .seconds(5))
        let command = ModelServer.Command.offers(worker: name.description, queues: open, limit: 1, wait: wait)
        queue.send("XREADGROUP", [command], timeout: .seconds(7)) { [self] in take($0, free, isPending: false) }
    }

    private func take(_ result: Result<[RESPValue], RedisError>, _ limit: Int, isPending: Bool) {
        if hasCrashed { return }
        guard case .success(let replies) = result else {
            return world.after(world.milliseconds(25..<500)) { [self] in
                isAsking = false
                ask()
            }
        }
        isAsking = false
        var offers = replies.flatMap { $0.array ?? [] }.compactMap { value -> RunOffer? in
            guard let parts = value.array?.compactMap(\.text), parts.count == 3 else { return nil }
            return (try? Name(parts[0])).map { RunOffer(run: RunID(rawValue: parts[2]), queue: $0, entry: parts[1]) }
        }
        if !offers.isEmpty { world.tell("\(name) is offered \(offers.map(\.run))") }
        // What is beyond the slots comes again with the next question, or goes back.
        var refused = isPending ? [] : Array(offers.dropFirst(limit))
        offers = Array(offers.prefix(limit))
        if isPending {
            if offers.isEmpty { cursors = nil }
            for offer in offers { cursors?[offer.queue] = Int(offer.entry) }
        }
        for offer in offers {
            switch decisions.take(offer) {
            case .taken: start(offer)
            case .held: continue
            case .refused: refused.append(offer)
            }
        }
        if !refused.isEmpty { write(.giveBack(refused)) { _ in } }
        ask()
    }

    /// Claims it, as soon as there is a connection. One that is told to stop gives the offer back before: what it then has, it
    /// had claimed already.
    private func start(_ offer: RunOffer) {
        if hasCrashed { return }
        guard !isDraining else { return write(.giveBack([offer])) { [self] _ in claim(offer) } }
        guard commands.current != nil else { return startLater(offer) }
        claim(offer)
    }

    private func startLater(_ offer: RunOffer) {
        world.after(world.milliseconds(25..<500)) { [self] in start(offer) }
    }

    private func claim(_ offer: RunOffer) {
        let fence = lease.fence
        let claim = ModelServer.Script.start(offer, worker: name.description, instance: instance)
        commands.send("a claim", [.script(claim)], waits: false) { [self] result in
            if hasCrashed { return }
            guard case .success(let replies) = result else { return startLater(offer) }
            let parts = replies[0].array ?? []
            switch parts.first?.text {
            case "started":
                if let drainedAt, let startedAt = server.runs[offer.run]?.startedAt,
                    drainedAt.duration(to: startedAt) > World.longestLatency
                {
                    world.broken("\(name) claimed \(offer.run) though it was told to stop")
                }
                run(offer, flag: parts[1].bytes, claimedBefore: fence)
            case "held":
                let target = parts[1].text.flatMap { try? InterruptTarget($0) }
                held.meet(offer, behind: target, now: world.now)
                release(offer.run)
            default: release(offer.run)
            }
        }
    }

    private func release(_ run: RunID) {
        let repeated = decisions.release(run)
        if !repeated.isEmpty { write(.giveBack(repeated)) { _ in } }
        ask()
    }

    private func run(_ offer: RunOffer, flag: [UInt8]?, claimedBefore claim: VirtualInstant?) {
        guard let record = server.runs[offer.run] else { return world.broken("\(offer.run) has no record") }
        let order = RunOrder(
            run: offer.run,
            job: record.job,
            queue: record.queue,
            groups: record.groups,
            work: .command([[1]]),
            gracePeriod: world.milliseconds(0..<3_000)
        )
        let run = ModelRun(order, self) { [self] in
            runs[order.run] = nil
            release(order.run)
        }
        runs[order.run] = run
        checker.watch(order) { [weak run] signal, way in run?.receive(signal, way) }
        guard record.retries > 0 else { return run.begin() }
        makeFence(offer, claimedBefore: claim) { [self] fence in
            if hasCrashed { return }
            fence.map { run.begin(until: $0) } ?? run.fail()
        }
    }

    /// Sends a script until it is answered, as receipts and ends are.
    func write(_ script: ModelServer.Script, _ then: @escaping (RESPValue) -> Void) {
        commands.send("a script", [.script(script)]) { [self] result in
            if hasCrashed { return }
            switch result {
            case .success(let replies): then(replies[0])
            case .failure: world.after(world.milliseconds(25..<1_000)) { [self] in write(script, then) }
            }
        }
    }
}
