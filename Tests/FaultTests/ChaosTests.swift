import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Synchronization
import Testing

/// What `Scripts/chaos` asks for; without it a short run.
private func setting(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment["CHAOS_\(name)"].flatMap(UInt64.init)
}

/// For how long there are faults.
private let troubled = Int64(setting("SECONDS") ?? 25)

@Suite(.timeLimit(.minutes(Int(troubled) / 60 + 10 * faultScale))) struct `Chaos` {
    @Test func `has the same steps for the same seed, and every fault among the first`() {
        let steps = Array(ChaosPlan(seed: 7).prefix(100))
        #expect(steps == Array(ChaosPlan(seed: 7).prefix(100)))
        #expect(steps != Array(ChaosPlan(seed: 8).prefix(100)))
        #expect(Set(steps.prefix(ChaosFault.allCases.count).map(\.fault)) == Set(ChaosFault.allCases))
    }

    @Test func `loses no recorded interrupt, ends nothing that nobody asked to end, and leaves nothing alive`()
        async throws
    {
        let seed = setting("SEED") ?? 1
        let end = ContinuousClock.now + .seconds(troubled)
        let isSoak = setting("SOAK") != nil
        let plan = ChaosPlan(seed: seed, scale: faultScale, sparing: isSoak ? [.workerKilled] : [])
        print("chaos: seed \(seed)")
        // A killed server has what it has said to have.
        try await withFleet(redis: ["--appendfsync", "always"]) { fleet in
            // A Unix socket knows no reset.
            try await withFaultProxy(to: fleet.redis.endpoint, listensOnTCP: true, seed: seed) { proxy in
                try await withRequester(fleet.redis.endpoint) { requester in
                    // They do not end by themselves, however long it takes.
                    let bystanders = try await fleet.submit(3, queue: "bystanders", script: "exec sleep 100000")
                    try await fleet.worker("calm", ["--queue", "bystanders", "--concurrency", "3"]) { calm in
                        let place = ChaosPlace(fleet: fleet, proxy: proxy, requester: requester)
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { try await place.keepWorker() }
                            group.addTask { try await place.run(plan, until: end) }
                            // Whoever fails ends the other; the steps end the worker.
                            try await group.waitForAll()
                        }
                        let facts = try await place.facts(with: bystanders)
                        print("chaos: \(place.summary)")
                        print("chaos: \(facts.summary); by \(try await fleet.ways(of: place.runs))")
                        if isSoak { try judge(place.usages) }
                        #expect(facts.violations == [], "seed \(seed)")
                        #expect(place.unexpectedEnds == 0, "the worker ends when it is killed and never else")
                        #expect(isRunning(calm))
                        #expect(livingRuns(among: Set(bystanders)).count == 3, "nobody asked them to end")
                        #expect(try await fleet.records(of: bystanders).allSatisfy { $0.state == .running })
                    }
                }
            }
        }
    }

    /// A worker that lives on needs no more in the end than when everything had gone wrong a few times.
    private func judge(_ usages: [ProcessUsage]) throws {
        let (first, last) = (try #require(usages.first), try #require(usages.last))
        print("chaos: the worker has \(first), and \(last) in the end, \(usages.count - 1) steps later")
        // Whether it goes on growing.
        let tenths = (0...10).map { usages[$0 * (usages.count - 1) / 10] }
        print("chaos: in tenths of the time \(tenths.map { "\($0)" }.joined(separator: "; "))")
        // They go up and down a little.
        #expect(usages.suffix(20).map(\.descriptors).min()! <= first.descriptors)
        // Dispatch adds a thread to its pool when work waits while all of them sleep, and ends one only when it had nothing to
        // do for five seconds. A thread that each fault leaves behind would be a hundred of them.
        let pool = 2 * ProcessInfo.processInfo.activeProcessorCount
        #expect(usages.suffix(20).map(\.threads).min()! <= usages.prefix(20).map(\.threads).max()! + pool)
        // The first tenth is for the heap to reach its size: it keeps what the busiest moment has taken.
        #expect(last.kilobytes - tenths[1].kilobytes < 1_024)
    }
}

/// A worker behind a proxy, and what is done to both.
private final class ChaosPlace: Sendable {
    private struct State {
        var worker: Int32?
        var isEnding = false
        var wasKilled = false
        var unexpectedEnds = 0
        var runs: [RunID] = []
        var faults: [ChaosFault: Int] = [:]
        var usages: [ProcessUsage] = []
    }

    let fleet: Fleet
    let proxy: FaultProxy
    let requester: Requester
    private let state = Mutex(State())

    init(fleet: Fleet, proxy: FaultProxy, requester: Requester) {
        (self.fleet, self.proxy, self.requester) = (fleet, proxy, requester)
    }

    var runs: [RunID] { state.withLock { $0.runs } }
    var unexpectedEnds: Int { state.withLock { $0.unexpectedEnds } }
    /// What the worker had after each step, from when each fault had come once.
    var usages: [ProcessUsage] { state.withLock { $0.usages } }
    var summary: String {
        let faults = state.withLock { $0.faults }.map { "\($0.key.rawValue) \($0.value)" }.sorted()
        return "\(faults.joined(separator: ", ")); unknown for a while \(requester.unknownCount)"
    }

    func facts(with others: [RunID]) async throws -> Invariants {
        try await fleet.facts(of: runs + others, asked: requester.asked)
    }

    /// Starts the worker, and again whenever it was killed.
    func keepWorker() async throws {
        let arguments = ["--redis", proxy.endpoint.description, "--concurrency", "\(10 * faultScale)"]
        while !state.withLock(\.isEnding) {
            try await fleet.worker("w1", arguments) { pid in
                state.withLock { ($0.worker, $0.wasKilled) = (pid, false) }
                while isRunning(pid), !state.withLock(\.isEnding) {
                    try await Task.sleep(for: .milliseconds(20))  // somebody else's process has no event for us
                }
                state.withLock { state in
                    state.worker = nil
                    if !state.isEnding, !state.wasKilled { state.unexpectedEnds += 1 }
                }
            }
        }
    }

    /// One step after the other; each begins and ends with everything well.
    func run(_ plan: ChaosPlan, until end: ContinuousClock.Instant) async throws {
        defer { state.withLock { $0.isEnding = true } }
        for (number, step) in plan.enumerated() {
            try await eventually("the worker runs") { state.withLock { $0.worker != nil } }
            let begin = ContinuousClock.now
            let runs = try await take(step)
            try await fleet.ended(runs, within: .seconds(60))
            print(
                "chaos \(number): \(step.fault.rawValue) for \(step.length), \(runs.count) runs, over after \(begin.duration(to: .now))"
            )
            if number >= plan.faults.count { noteUsage() }
            if ContinuousClock.now >= end { break }
        }
    }

    private var usage: ProcessUsage? { state.withLock(\.worker).flatMap(ProcessUsage.init) }

    private func noteUsage() {
        if let usage { state.withLock { $0.usages.append(usage) } }
    }

    private func take(_ step: ChaosStep) async throws -> [RunID] {
        var runs: [RunID] = []
        for run in step.runs { runs += try await fleet.submit(1, run.kind) }
        let asked = Array(zip(runs, step.runs))
        state.withLock { state in
            state.runs += runs
            state.faults[step.fault, default: 0] += 1
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await Task.sleep(for: step.begin)
                try await self.begin(step.fault)
                try await Task.sleep(for: step.length)
                try await self.end(step.fault)
            }
            for (run, how) in asked {
                group.addTask {
                    try await Task.sleep(for: how.askedAt)
                    // What the server refuses while it is full is asked for again, and what nobody could say in time.
                    while [.refused, .unknown].contains(await self.requester.interrupt(run)) {
                        try await Task.sleep(for: .milliseconds(200))
                    }
                    if how.isKilled { await self.requester.interrupt(run, .kill) }
                }
            }
            try await group.waitForAll()
        }
        return runs
    }

    private func begin(_ fault: ChaosFault) async throws {
        switch fault {
        case .nothing: break
        case .subscriptionsKilled: try await fleet.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        case .subscriptionsKicked: try await fleet.kickSubscriptions()
        case .connectionsKilled: try await fleet.redis.command("CLIENT", "KILL", "TYPE", "normal")
        case .redisKilled: try await fleet.redis.restart()
        case .redisStopped: fleet.redis.stop()
        case .redisPaused: try await fleet.redis.command("CLIENT", "PAUSE", "800", "ALL")
        case .redisFull: try await fleet.redis.command("CONFIG", "SET", "maxmemory", "1")
        case .redisIsReplica: try await fleet.redis.command("REPLICAOF", "127.0.0.1", "1")
        case .scriptsFlushed: try await fleet.redis.command("SCRIPT", "FLUSH")
        case .workerStopped: signalWorker(SIGSTOP)
        case .workerKilled: signalWorker(SIGKILL)
        case .halfOpen: proxy.rules = .halfOpen
        case .deaf: proxy.rules = FaultRules(toClient: .silent)
        case .mute: proxy.rules = FaultRules(toServer: .silent)
        case .slow:
            let way = FaultRules.Way.delayed(.milliseconds(200), jitter: .milliseconds(100))
            proxy.rules = FaultRules(toServer: way, toClient: way)
        case .trickling: proxy.rules.toClient = .trickling(bytes: 10, every: .milliseconds(10))
        case .doubled: proxy.rules.duplicatesPushes = true
        case .cut: proxy.rules = FaultRules(toServer: .cut(after: 700), toClient: .cut(after: 700))
        case .reset: proxy.cut(.reset)
        case .refused:
            try await proxy.refuseConnections()
            proxy.cut()
        }
    }

    private func end(_ fault: ChaosFault) async throws {
        switch fault {
        case .redisStopped: fleet.redis.resume()
        case .redisFull: try await fleet.redis.command("CONFIG", "SET", "maxmemory", "0")
        case .redisIsReplica: try await fleet.redis.command("REPLICAOF", "NO", "ONE")
        case .workerStopped: signalWorker(SIGCONT)
        case .halfOpen, .deaf, .mute, .slow, .trickling, .doubled, .cut: proxy.rules = FaultRules()
        case .refused: try await proxy.acceptConnections()
        case .nothing, .subscriptionsKilled, .subscriptionsKicked, .connectionsKilled, .redisKilled, .redisPaused,
            .scriptsFlushed, .workerKilled, .reset:
            break
        }
    }

    private func signalWorker(_ number: Int32) {
        state.withLock { state in
            guard let pid = state.worker else { return }
            kill(pid, number)
            // No step begins before there is another one, who may ask the server while it starts.
            if number == SIGKILL { (state.worker, state.wasKilled) = (nil, true) }
        }
    }
}

/// What a process has of the machine.
private struct ProcessUsage: CustomStringConvertible {
    let kilobytes: Int
    /// Those that are no pages of a file, such as its code.
    let ownKilobytes: Int
    let threads: Int
    let descriptors: Int

    init?(of pid: Int32) {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
            let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
        else { return nil }
        func number(_ name: String) -> Int? {
            let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
            return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
        }
        guard let kilobytes = number("VmRSS:"), let own = number("RssAnon:"), let threads = number("Threads:")
        else { return nil }
        (self.kilobytes, ownKilobytes, self.threads, descriptors) = (kilobytes, own, threads, open.count)
    }

    var description: String {
        "\(kilobytes) kB (\(ownKilobytes) its own), \(threads) threads, \(descriptors) descriptors"
    }
}
