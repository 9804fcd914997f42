import InterruptCore

/// Decides which keys are read when, and what a value that was read means. Never waits, locks or reads a clock.
struct WatchList<Instant: InstantProtocol> where Instant.Duration == Duration {
    /// What stands under a key.
    enum Role: Hashable {
        case request(RunID)
        case jobFlag(RunID, Name)
        case wideFlag(InterruptTarget)
        /// That the run is to be paused, as long as the key is there.
        case pause(RunID)
    }

    /// Keys to read at once, each with what made it due.
    struct Read: Equatable {
        var keys: [String]
        var ways: [String: DeliveryWay]

        init(keys: [String], ways: [String: DeliveryWay]) {
            self.keys = keys
            self.ways = ways
        }

        init(keys: [String], way: DeliveryWay) {
            self.init(keys: keys, ways: Dictionary(uniqueKeysWithValues: keys.map { ($0, way) }))
        }
    }

    enum Step: Equatable {
        /// Nothing to read before this instant.
        case wait(until: Instant)
        case read(Read)
    }

    private struct Entry {
        var role: Role
        var lastValue: [UInt8]?
        var isMalformed = false
    }

    /// The least time between two reads that pushes ask for: a full tracking table otherwise feeds itself.
    static var batchInterval: Duration { .milliseconds(20) }
    /// The time after which a failed read is due again; doubled with each further failure in a row.
    static var shortestRetry: Duration { .milliseconds(50) }
    /// How long a new connection waits for the subscription at most, so that one reading follows both: of many that come
    /// back at once, nobody reads twice in the first second.
    static var longestPatience: Duration { .seconds(1) }
    /// The most that this comes to. 1 s: a server that only says that it is loading is not asked more often.
    static var longestRetry: Duration { .seconds(1) }
    /// A key with a malformed value is read at every this many polls only: it may be huge.
    static var malformedPollRatio: Int { 30 }

    private let keys: RedisKeys
    private(set) var orders: [RunID: RunOrder] = [:]
    private var entries: [String: Entry] = [:]
    private var groupMembers: [Name: Int] = [:]
    private var dirty: [String: DeliveryWay] = [:]
    private var dirtyDue: Instant?
    private var lastRead: Instant?
    private var nextPoll: Instant
    private var polls = 0
    private var areCommandsNew = false
    /// Whether a new connection may wait for the subscription: once for each reading.
    private var isPatient = true
    private var failuresInARow = 0

    init(keys: RedisKeys, always targets: [InterruptTarget], now: Instant) {
        self.keys = keys
        nextPoll = now
        for target in targets { entries[keys.flag(target)] = Entry(role: .wideFlag(target)) }
    }

    /// A new run is read once in the next batch, which also arms its keys: a short job pays nothing.
    ///
    /// - Parameter isPausable: whether somebody wants to know that it is to be paused.
    mutating func watch(_ order: RunOrder, isPausable: Bool = false, now: Instant) {
        unwatch(order.run)
        orders[order.run] = order
        add(keys.request(order.run), .request(order.run))
        if isPausable { add(keys.pause(order.run), .pause(order.run)) }
        add(keys.flag(.job(order.job)), .jobFlag(order.run, order.job))
        for group in order.groups {
            groupMembers[group, default: 0] += 1
            add(keys.flag(.group(group)), .wideFlag(.group(group)))
        }
        schedule(now.advanced(by: Self.batchInterval))
    }

    private mutating func add(_ key: String, _ role: Role) {
        entries[key] = Entry(role: role)
        dirty[key] = .start
    }

    mutating func unwatch(_ run: RunID) {
        guard let order = orders.removeValue(forKey: run) else { return }
        remove(keys.request(run))
        remove(keys.pause(run))
        // The job's flag may belong to a newer run of the job by now.
        if case .jobFlag(run, _) = entries[keys.flag(.job(order.job))]?.role { remove(keys.flag(.job(order.job))) }
        for group in order.groups {
            groupMembers[group, default: 1] -= 1
            if groupMembers[group] == 0 {
                groupMembers[group] = nil
                remove(keys.flag(.group(group)))
            }
        }
    }

    private mutating func remove(_ key: String) {
        entries[key] = nil
        dirty[key] = nil
    }

    /// Keys that changed, as Redis says; `nil` means any may have. Answers whether there is something to read earlier.
    mutating func invalidated(_ changed: [String]?, now: Instant) -> Bool {
        guard let changed else { return everythingChanged(.tracked, now: now) }
        let ours = changed.filter { entries[$0] != nil }
        for key in ours { dirty[key] = .tracked }
        if ours.isEmpty { return false }
        return schedule(max(now, lastRead.map { $0.advanced(by: Self.batchInterval) } ?? now))
    }

    /// The subscription was made anew: whatever was published meanwhile is found by reading everything.
    mutating func reconnected(now: Instant) -> Bool {
        everythingChanged(.reconnect, now: now)
    }

    /// The connection that reads was made anew: everything is read, and what tracks the keys is set up, as soon as there is
    /// a subscription, and without one no later than a poll would. Where connections are lost again before anything was
    /// read on them, the next one is not kept waiting.
    mutating func commandsReconnected(isSubscribed: Bool, pollInterval: Duration, now: Instant) -> Bool {
        areCommandsNew = true
        if isSubscribed || !isPatient { return everythingChanged(.reconnect, now: now) }
        isPatient = false
        let due = now.advanced(by: min(Self.longestPatience, pollInterval))
        // A poll that is due, or a failed read, would only come before it.
        nextPoll = max(nextPoll, due)
        dirtyDue = nil
        return everythingChanged(.reconnect, now: due)
    }

    private mutating func everythingChanged(_ way: DeliveryWay, now: Instant) -> Bool {
        for key in entries.keys { dirty[key] = way }
        return schedule(max(now, lastRead.map { $0.advanced(by: Self.batchInterval) } ?? now))
    }

    @discardableResult
    private mutating func schedule(_ due: Instant) -> Bool {
        if let dirtyDue, dirtyDue <= due { return false }
        dirtyDue = due
        return true
    }

    /// What to do at `now`. A due poll reads everything, a due batch what is dirty.
    mutating func step(now: Instant, pollInterval: Duration) -> Step {
        // Many come back at once: in its first second nobody asks a second time.
        let pollInterval = areCommandsNew ? pollInterval * 9 / 8 : pollInterval
        if nextPoll <= now {
            nextPoll = now.advanced(by: pollInterval)
            polls += 1
            let isFullPoll = polls % Self.malformedPollRatio == 0
            var read = entries.filter { isFullPoll || !$0.value.isMalformed || dirty[$0.key] != nil }.map(\.key)
            read.sort()
            // A key that is due for another reason as well is read for that one.
            let ways = Dictionary(uniqueKeysWithValues: read.map { ($0, dirty[$0] ?? .poll) })
            return begin(Read(keys: read, ways: ways), now: now)
        }
        if let dirtyDue, dirtyDue <= now {
            // A reading of everything is as good as a poll.
            if dirty.count == entries.count { nextPoll = now.advanced(by: pollInterval) }
            return begin(Read(keys: dirty.keys.sorted(), ways: dirty), now: now)
        }
        return .wait(until: dirtyDue.map { min($0, nextPoll) } ?? nextPoll)
    }

    private mutating func begin(_ read: Read, now: Instant) -> Step {
        lastRead = now
        areCommandsNew = false
        dirty = [:]
        dirtyDue = nil
        return read.keys.isEmpty ? .wait(until: nextPoll) : .read(read)
    }

    /// The read failed: the same keys are due again soon, or with the next poll if that comes first. A poll may be an hour
    /// away, and what Redis has told of once, it does not tell again.
    mutating func readFailed(_ read: Read, now: Instant) {
        for key in read.keys where entries[key] != nil { dirty[key] = read.ways[key] }
        schedule(now.advanced(by: min(Self.longestRetry, Self.shortestRetry * (1 << min(failuresInARow, 16)))))
        failuresInARow += 1
    }

    /// The read was answered as a whole.
    mutating func readSucceeded() {
        failuresInARow = 0
        isPatient = true
    }

    /// A value that was read: its role when it is new, `nil` when it is unchanged or no longer watched, or when it is gone
    /// and that means nothing.
    mutating func newValue(_ value: [UInt8]?, of key: String) -> Role? {
        guard var entry = entries[key], entry.lastValue != value else { return nil }
        entry.lastValue = value
        entry.isMalformed = false
        entries[key] = entry
        switch entry.role {
        case .pause: return entry.role
        case .request, .jobFlag, .wideFlag: return value == nil ? nil : entry.role
        }
    }

    /// The value could not be read as an interrupt: it is read seldom from now on.
    mutating func malformed(_ key: String) {
        entries[key]?.isMalformed = true
    }

    func malformed(among keys: [String]) -> [String] { keys.filter { entries[$0]?.isMalformed == true } }

    /// The value has been dealt with and is gone: it counts as new when it is read again.
    mutating func forgetValue(of key: String) {
        entries[key]?.lastValue = nil
    }

    /// What was to be done about the value failed: it is read again, as new, after a while or with the next poll.
    mutating func tryAgain(_ key: String, _ way: DeliveryWay, now: Instant) {
        guard entries[key] != nil else { return }
        forgetValue(of: key)
        dirty[key] = way
        schedule(now.advanced(by: Self.longestRetry))
    }

    /// The watched runs that the target stands for.
    func runs(meantBy target: InterruptTarget?, on worker: Name) -> Set<RunID> {
        Set(orders.values.filter { $0.isMeant(by: target, on: worker) }.map(\.run))
    }
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
