import InterruptCore

@testable import InterruptRedis

/// As much of Redis as the contract needs: texts under keys, tracking, channels, queues with pending entries, and the
/// scripts. What is in it survives a restart; connections do not.
final class ModelServer {
    enum Command {
        case ping
        case subscribe([String])
        case track(redirect: Int)
        case read([String], isTracked: Bool)
        case publish(String, String)
        case offers(worker: String, queues: [Name], limit: Int, wait: Duration)
        case pending(worker: String, queue: Name, after: Int, limit: Int)
        case script(Script)
    }

    /// What a worker asks of the scripts.
    enum Script {
        case enter(worker: String, instance: Int, lease: Duration)
        case lose(RunID, instance: Int)
        case start(RunOffer, worker: String, instance: Int)
        case acknowledge(InterruptSignal, RunID, instance: Int)
        case importFlag(InterruptSignal, RunID, job: Name, value: String)
        case importWideFlag(InterruptSignal, target: InterruptTarget, value: String)
        case end(RunID, instance: Int, RunState)
        case giveBack([RunOffer])
        case returnUnclaimed(worker: String)
        case heartbeat(worker: String, instance: Int)
        case survey
        case takeOver(WorkerSign)
    }

    struct Session {
        var connection: ModelConnection
        var channels: [String] = []
        var redirect: Int?
    }

    /// A read that waits for an entry.
    struct Blocked {
        var session: Int
        var worker: String
        var queues: [Name]
        var limit: Int
    }

    struct Run {
        var job: Name
        var queue: Name
        var groups: [Name]
        var state = RunState.queued
        var entry: Int
        var worker: String?
        var instance: Int?
        var stage: InterruptStage?
        var starts = 0
        /// How often it is tried again; which try this is.
        var retries = 0
        var attempt = 1
        var submittedAt = VirtualInstant(microseconds: 0)
        var startedAt = VirtualInstant(microseconds: 0)
    }

    let world: World
    let keys: RedisKeys
    private(set) var isUp = true
    private(set) var sessions: [Int: Session] = [:]
    private(set) var values: [String: String] = [:]
    private var tracked: [String: Set<Int>] = [:]
    private var blocked: [Blocked] = []
    private var lastEntry = 0
    private var queues: [Name: [(entry: Int, run: RunID)]] = [:]
    private(set) var pending: [String: [(queue: Name, entry: Int, run: RunID)]] = [:]
    var runs: [RunID: Run] = [:]
    var newest: [Name: RunID] = [:]
    var instances: [String: Int] = [:]
    var requests: [RunID: ModelRequest] = [:]
    var heartbeats: [String: Int64] = [:]
    var leases: [String: Duration] = [:]
    /// Who was found silent and was not heard of since.
    var silent: Set<String> = []
    /// Those that are to be tried again, and when they are due.
    var delayed: [RunID: VirtualInstant] = [:]

    init(_ world: World, _ keys: RedisKeys) { (self.world, self.keys) = (world, keys) }

    // MARK: Connections

    func open(_ connection: ModelConnection) { sessions[connection.id] = Session(connection: connection) }

    func close(_ id: Int) {
        sessions[id] = nil
        stopWaiting(id)
    }

    func stopWaiting(_ id: Int) {
        blocked.removeAll { $0.session == id }
    }

    func goDown(for time: Duration) {
        guard isUp else { return }
        world.tell("the server goes down for \(time)")
        isUp = false
        let connections = sessions.values.map(\.connection).sorted { $0.id < $1.id }
        sessions = [:]
        tracked = [:]
        blocked = []
        for connection in connections where !connection.isSilent {
            world.after(world.latency()) { connection.cut() }
        }
        world.after(time) { [self] in isUp = true }
    }

    func execute(_ commands: [Command], from id: Int) {
        guard isUp else { return }
        for command in commands {
            guard let session = sessions[id] else { return }
            for reply in replies(to: command, session, id) { session.connection.deliver(reply) }
        }
    }

    private func replies(to command: Command, _ session: Session, _ id: Int) -> [RESPValue] {
        switch command {
        case .ping: return [session.channels.isEmpty ? .status("PONG") : .array([text("pong"), text("")])]
        case .subscribe(let channels):
            sessions[id]?.channels += channels
            return channels.enumerated().map {
                .array([text("subscribe"), text($0.element), .integer(Int64($0.offset + 1))])
            }
        case .track(let redirect):
            if sessions[redirect] == nil { return [.error("ERR The client ID you want redirect to does not exist")] }
            sessions[id]?.redirect = redirect
            return [.status("OK")]
        case .read(let keys, let isTracked):
            if isTracked { for key in keys { tracked[key, default: []].insert(id) } }
            return [.array(keys.map { values[$0].map(text) ?? .null })]
        case .publish(let channel, let payload):
            publish(payload, on: channel)
            return [.integer(1)]
        case .offers(let worker, let queues, let limit, let wait):
            let taken = take(worker, queues, limit)
            if !taken.isEmpty { return [.array(taken)] }
            blocked.append(Blocked(session: id, worker: worker, queues: queues, limit: limit))
            world.after(wait) { [self] in
                guard let index = blocked.firstIndex(where: { $0.session == id }) else { return }
                blocked.remove(at: index)
                sessions[id]?.connection.deliver(.null)
            }
            return []
        case .pending(let worker, let queue, let after, let limit):
            let own = (pending[worker] ?? []).filter { $0.queue == queue && $0.entry > after }.prefix(limit)
            return [.array(own.map { offer($0.queue, $0.entry, $0.run) })]
        case .script(let script): return [evaluate(script)]
        }
    }

    // MARK: Keys and channels

    func set(_ key: String, _ value: String?) {
        values[key] = value
        for id in (tracked.removeValue(forKey: key) ?? []).sorted() { invalidate(.array([text(key)]), for: id) }
    }

    /// The table is full, or was flushed: Redis says that it forgets.
    func forgetTracked(everything: Bool) {
        if everything {
            tracked = [:]
            for id in sessions.keys.sorted() where sessions[id]?.redirect != nil { invalidate(.null, for: id) }
        } else if let key = tracked.keys.min() {
            for id in (tracked.removeValue(forKey: key) ?? []).sorted() { invalidate(.array([text(key)]), for: id) }
        }
    }

    /// A redirect to a connection that has gone is silent.
    private func invalidate(_ payload: RESPValue, for id: Int) {
        guard let redirect = sessions[id]?.redirect else { return }
        sessions[redirect]?.connection.deliver(.array([text("message"), text(RedisKeys.invalidations), payload]))
    }

    func publish(_ payload: String, on channel: String) {
        for id in sessions.keys.sorted() where sessions[id]?.channels.contains(channel) == true {
            sessions[id]?.connection.deliver(.array([text("message"), text(channel), text(payload)]))
        }
    }

    // MARK: Queues

    func enqueue(_ run: RunID) {
        guard let queue = runs[run]?.queue else { return }
        lastEntry += 1
        runs[run]?.entry = lastEntry
        queues[queue, default: []].append((lastEntry, run))
        guard let index = blocked.firstIndex(where: { $0.queues.contains(queue) }) else { return }
        let reader = blocked.remove(at: index)
        sessions[reader.session]?.connection.deliver(.array(take(reader.worker, reader.queues, reader.limit)))
    }

    func isWaiting(_ run: RunID) -> Bool {
        delayed[run] != nil || queues.values.contains { $0.contains { $0.run == run } }
            || pending.values.contains { $0.contains { $0.run == run } }
    }

    func acknowledge(_ offer: RunOffer) {
        for worker in pending.keys { pending[worker]?.removeAll { "\($0.entry)" == offer.entry } }
    }

    func withdraw(_ run: RunID) {
        delayed[run] = nil
        for queue in queues.keys { queues[queue]?.removeAll { $0.run == run } }
    }

    /// To the end of its queue, unless the offer is an old one.
    func putBack(_ offer: RunOffer) {
        acknowledge(offer)
        if let run = runs[offer.run], run.state == .queued, "\(run.entry)" == offer.entry { enqueue(offer.run) }
    }

    private func take(_ worker: String, _ names: [Name], _ limit: Int) -> [RESPValue] {
        var taken: [RESPValue] = []
        for queue in names {
            for (entry, run) in (queues[queue] ?? []).prefix(limit) {
                pending[worker, default: []].append((queue, entry, run))
                taken.append(offer(queue, entry, run))
            }
            queues[queue] = Array((queues[queue] ?? []).dropFirst(limit))
        }
        return taken
    }

    private func offer(_ queue: Name, _ entry: Int, _ run: RunID) -> RESPValue {
        .array([text(queue.description), text("\(entry)"), text(run.rawValue)])
    }

    func text(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }
}
