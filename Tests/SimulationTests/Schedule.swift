import InterruptCore

@testable import InterruptRedis

/// One schedule: what people ask and what the network, the server and the workers suffer, all from one seed. Faults end
/// after some seconds; then everything has to come right within a time.
struct Schedule {
    let seed: UInt64
    let world: World
    private let server: ModelServer
    private let queues: [Name]
    private let people = People()

    /// When people have set which flag last, which queues they hold, and how much somebody is about to do.
    private final class People {
        var held: Set<Name> = []
        var setAt: [String: VirtualInstant] = [:]
        var intentions = 0
    }

    /// While anything may happen.
    private static let troubled = 6_000
    private static let troubleEnds = VirtualInstant(microseconds: Int64(troubled) * 1_000)
    /// How long after the last fault an interrupt may take that was recorded during it: a silent connection is noticed (3 s,
    /// 1 s), a command gives up (2 s), the pauses between attempts (2 s, 1 s), the next poll (2.2 s).
    private static let healing = Duration.seconds(14)

    /// How long an interrupt may take where nothing goes wrong but that messages come late, twice and in another order.
    private static let calm = Duration.milliseconds(700)

    /// How long each worker may be silent.
    private static let leases = 500..<5_000

    static let namespace = try! RedisKeys(namespace: "n")
    private static let names = try! (0..<6).map { try Name("j\($0)") }
    private static let queueNames = try! [Name("q0"), Name("q1")]
    private static let groups = try! [Name("g0"), Name("g1")]
    private static let workerNames = try! [Name("w0"), Name("w1")]

    init(seed: UInt64, isTraced: Bool = false) {
        self.seed = seed
        world = World(seed: seed, isTraced: isTraced)
        server = ModelServer(world, Self.namespace)
        queues = Array(Self.queueNames.prefix(1 + world.number(below: 2)))
    }

    /// What was promised and not kept; empty is good.
    func run() -> [String] {
        var workers: [ModelWorker] = []
        for name in Self.workerNames.prefix(1 + world.number(below: 2)) { workers.append(worker(name)) }
        let fleet = Fleet(workers)
        for job in Self.names.prefix(1 + world.number(below: 4)) { plan(job, fleet) }
        let faults = world.number(below: 9)
        for _ in 0..<faults { world.after(moment) { fault(fleet) } }
        if faults == 0 { watchCalm(fleet) }
        world.run(until: Self.troubleEnds)
        settle(fleet, within: Self.healing)
        checkDelivery(fleet, recordedBy: Self.troubleEnds)
        checkMailboxes(setBy: Self.troubleEnds)
        // What lies at a worker that has no slot for it goes back after some more seconds.
        settle(fleet, within: .seconds(8))
        checkQueues(fleet)
        for worker in fleet.all { worker.close() }
        world.run(until: world.now.advanced(by: .seconds(60)))
        for call in world.promises.open.sorted() { world.broken("call \(call) was never answered") }
        return world.promises.broken
    }

    private var moment: Duration { world.milliseconds(0..<Self.troubled) }

    /// The workers, those that crashed too.
    private final class Fleet {
        var all: [ModelWorker]
        init(_ all: [ModelWorker]) { self.all = all }
        var living: [ModelWorker] { all.filter { !$0.hasCrashed } }
        func holder(of run: RunID) -> ModelWorker? { all.first { !$0.hasCrashed && $0.holds(run) } }
    }

    private func worker(_ name: Name) -> ModelWorker {
        let slots = 1 + world.number(below: 3)
        let lease = world.milliseconds(Self.leases)
        let worker = ModelWorker(world, server, name, queues: queues, slots: slots, lease: lease)
        worker.begin()
        return worker
    }

    // MARK: People

    private func plan(_ job: Name, _ fleet: Fleet) {
        let run = RunID(rawValue: "r-\(job)")
        let queue = queues[world.number(below: queues.count)]
        let groups = Self.groups.filter { _ in world.chance(40) }
        person(after: world.milliseconds(0..<2_000)) {
            server.submit(run, job, queue, groups, retries: world.chance(60) ? 1 + world.number(below: 3) : 0)
        }
        for _ in 0..<world.number(below: 4) { person(after: moment) { ask(job, groups) } }
        if world.chance(15) {
            let target = InterruptTarget.queue(queue)
            person(after: moment) {
                world.tell("\(target) is held")
                people.held.insert(queue)
                server.set(server.keys.pause(target), "{}")
                person(after: world.milliseconds(0..<2_000)) {
                    server.set(server.keys.pause(target), nil)
                    // With the time for which a held queue is left alone.
                    world.after(.seconds(3)) { people.held.remove(queue) }
                }
            }
        }
    }

    /// People try again until the server answers.
    private func person(after delay: Duration, _ act: @escaping () -> Void) {
        intend(after: delay) {
            if server.isUp { return act() }
            person(after: world.milliseconds(50..<500), act)
        }
    }

    /// What has to happen before all can be at rest.
    private func intend(after delay: Duration, _ act: @escaping () -> Void) {
        people.intentions += 1
        world.after(delay) {
            people.intentions -= 1
            act()
        }
    }

    private func ask(_ job: Name, _ groups: [Name]) {
        let stage = [InterruptStage.drain, .terminate, .terminate, .kill][world.number(below: 4)]
        let target: InterruptTarget =
            switch world.number(below: 10) {
            case 0 where !groups.isEmpty: .group(groups[0])
            case 1: .all
            default: .job(job)
            }
        let grace: Duration? = world.chance(40) ? world.milliseconds(0..<2_000) : nil
        switch world.number(below: 4) {
        case 0: setFlag(target, stage, grace)
        default:
            let signal = InterruptSignal(
                id: RequestID(rawValue: "i-\(world.newID())"),
                stage: stage,
                gracePeriod: grace,
                target: target
            )
            note(signal.id, stage, target)
            server.interrupt(target, signal)
            // Who got no answer asks the same again.
            if world.chance(20) { person(after: world.milliseconds(0..<1_000)) { server.interrupt(target, signal) } }
        }
    }

    private func setFlag(_ target: InterruptTarget, _ stage: InterruptStage, _ grace: Duration?) {
        let key = server.keys.flag(target)
        switch world.number(below: 5) {
        case 0: server.set(key, "{\"stage\":")  // is ignored
        case 1: server.set(key, "0")
        case 2:
            note(RequestID(rawValue: key), .terminate, target)
            server.set(key, "1")
        default:
            note(RequestID(rawValue: key), stage, target)
            let grace = grace.map { ",\"grace_ms\":\($0.milliseconds)" } ?? ""
            server.set(key, "{\"stage\":\(stage.rawValue)\(grace)}")
        }
        people.setAt[key] = world.now
        world.tell("flag \(key) is set")
    }

    private func note(_ id: RequestID, _ stage: InterruptStage, _ target: InterruptTarget) {
        world.promises.ask(id, stage) { run in
            server.runs[run].map { server.isMeant(run, $0, by: target) } ?? false
        }
    }

    // MARK: Faults

    private func fault(_ fleet: Fleet) {
        let living = fleet.living
        guard !living.isEmpty else { return }
        let worker = living[world.number(below: living.count)]
        let connections = [worker.commands.connection, worker.queue.connection, worker.checker.subscription]
        let connection = connections[world.number(below: 3)]
        switch world.number(below: 14) {
        case 0, 1, 2, 3:
            world.tell("a connection of \(worker.name) breaks")
            connection?.cut()
        case 4, 5, 6:
            world.tell("a connection of \(worker.name) falls silent")
            connection?.fallSilent()
        case 7, 8: server.goDown(for: world.milliseconds(20..<3_000))
        case 9: server.forgetTracked(everything: world.chance(50))
        case 10, 11:
            // No longer than there are faults.
            worker.cutOff(until: min(world.now.advanced(by: world.milliseconds(200..<6_000)), Self.troubleEnds))
        case 12:
            worker.crash()
            intend(after: world.milliseconds(50..<1_500)) {
                fleet.all.append(self.worker(worker.name))
            }
        default: if world.chance(30) { worker.drain() }
        }
    }

    // MARK: Rest

    /// Lets time pass until nothing is under way any more, at most that long.
    private func settle(_ fleet: Fleet, within limit: Duration) {
        let end = world.now.advanced(by: limit)
        while world.now < end, !isAtRest(fleet) {
            world.run(until: min(end, world.now.advanced(by: .milliseconds(100))))
        }
    }

    /// Whether what was asked is done and on record, and whatever could start has: what follows is heartbeats, polls, and
    /// messages that come twice.
    private func isAtRest(_ fleet: Fleet) -> Bool {
        guard server.isUp, server.silent.isEmpty, people.intentions == 0, people.held.isEmpty,
            fleet.living.allSatisfy(\.isAtRest)
        else { return false }
        return server.runs.allSatisfy { run, record in
            if record.state.isEnd { return true }
            if record.state == .queued { return !fleet.living.contains(where: \.hasFreeSlot) }
            guard let stage = fleet.holder(of: run).map({ $0.runs[run]?.inbox.stage }) else { return false }
            let mailboxes: [InterruptTarget] = [.all, .job(record.job)] + record.groups.map { .group($0) }
            return server.requests[run]?.stage == stage && mailboxes.allSatisfy { unread($0) == nil }
        }
    }

    // MARK: Promises

    /// Where nothing goes wrong, nobody waits for a poll.
    private func watchCalm(_ fleet: Fleet) {
        world.after(.milliseconds(100)) {
            // Until then the first attempts to connect may have failed.
            if world.now > VirtualInstant(microseconds: 3_000_000) {
                checkDelivery(fleet, recordedBy: world.now.advanced(by: .zero - Self.calm))
            }
            if world.now < Self.troubleEnds { watchCalm(fleet) }
        }
    }

    private func isHeld(_ record: ModelServer.Run) -> Bool { people.held.contains(record.queue) }

    private func checkMailboxes(setBy latest: VirtualInstant) {
        for (run, record) in server.runs where record.worker != nil && !record.state.isEnd {
            guard let value = unread(.job(record.job)), let setAt = people.setAt[server.keys.flag(.job(record.job))],
                setAt <= latest
            else { continue }
            world.broken("\(run) goes on, though \(value) is in its mailbox")
        }
    }

    /// The flag that is to be taken in: it can be read, and was not set by the server as a mirror.
    private func unread(_ target: InterruptTarget) -> String? {
        server.values[server.keys.flag(target)].flatMap {
            $0 == "1" || $0.hasPrefix("{\"stage\":") && $0.last == "}" ? $0 : nil
        }
    }

    private func checkQueues(_ fleet: Fleet) {
        for (run, record) in server.runs {
            // Who tries again waits a moment, and for a survey.
            // What was offered to a worker that takes nothing more stays its name's until that comes back.
            let isNew = record.submittedAt.duration(to: world.now) < .milliseconds(Self.leases.upperBound + 1_000)
            if record.state == .queued, !isNew, !isHeld(record), !fleet.all.contains(where: \.isDraining),
                let worker = fleet.living.first(where: \.isIdle)
            {
                world.broken("\(run) waits, though \(worker.name) has nothing to do")
            }
        }
    }

    private func checkDelivery(_ fleet: Fleet, recordedBy latest: VirtualInstant) {
        for (run, record) in server.runs.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if record.starts > 1 { world.broken("\(run) was started \(record.starts) times") }
            if record.state == .queued, !server.isWaiting(run) { world.broken("\(run) is queued and in no queue") }
            guard !record.state.isEnd, let request = server.requests[run], request.recordedAt <= latest else {
                continue
            }
            guard record.state != .queued else {
                world.broken("\(run) is queued though its interrupt is on record")
                continue
            }
            let stage = fleet.holder(of: run)?.runs[run]?.inbox.stage
            if stage.map({ $0 < request.stage }) ?? true {
                world.broken(
                    "\(run) is \(record.state) with \(request.stage) on record, and has heard "
                        + (stage.map { "\($0)" } ?? "nothing")
                )
            }
        }
    }
}
