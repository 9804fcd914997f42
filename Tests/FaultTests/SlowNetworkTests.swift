import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3 * faultScale))) struct `A bad network between a worker and Redis` {
    /// A worker behind a proxy, with one run; `body` gets both.
    private func behindProxy(
        concurrency: Int = 20,
        listensOnTCP: Bool = false,
        _ body: @Sendable (Fleet, FaultProxy, Requester) async throws -> Void
    ) async throws {
        try await withFleet { fleet in
            try await withFaultProxy(to: fleet.redis.endpoint, listensOnTCP: listensOnTCP, seed: 3) { proxy in
                let arguments = ["--redis", proxy.endpoint.description, "--concurrency", "\(concurrency)"]
                try await fleet.worker("w1", arguments) { daemon in
                    try await withRequester(fleet.redis.endpoint) { try await body(fleet, proxy, $0) }
                    #expect(isRunning(daemon))
                }
            }
        }
    }

    /// Interrupts one run and returns how long its processes lived on.
    private func interrupt(_ run: RunID, _ requester: Requester) async throws -> Duration {
        let begin = ContinuousClock.now
        #expect(await requester.interrupt(run) == .recorded)
        try await eventually("it is gone") { livingRuns(among: [run]).isEmpty }
        return begin.duration(to: .now)
    }

    @Test func `that delays everything by 500 ms, give or take half of it, costs that once`() async throws {
        try await behindProxy { fleet, proxy, requester in
            let runs = try await fleet.start(10)
            let slow = FaultRules.Way.delayed(.milliseconds(500), jitter: .milliseconds(250))
            proxy.rules = FaultRules(toServer: slow, toClient: slow)
            var times: [Duration] = []
            for run in runs { times.append(try await interrupt(run, requester)) }
            try await fleet.ended(runs)
            let facts = try await fleet.facts(of: runs, asked: requester.asked)
            print(
                "delayed by 500 +-250 ms: \(facts.summary); \(times.min()!) to \(times.max()!), by \(try await fleet.ways(of: runs))"
            )
            #expect(facts.violations == [])
            // A push is delayed once; what is read, twice. Now and then the answer to a poll is on its way already.
            let pushed = try await fleet.records(of: runs).count { $0.way == .push }
            #expect(pushed >= runs.count / 2 && times.allSatisfy { $0 < .seconds(10) }, "\(pushed), \(times)")
        }
    }

    @Test func `that hands each push on twice, and late, makes one event of it`() async throws {
        try await behindProxy { fleet, proxy, requester in
            let runs = try await fleet.start(20)
            proxy.rules.duplicatesPushes = true
            proxy.rules.toClient = .delayed(.milliseconds(20), jitter: .milliseconds(20))
            for run in runs { await requester.interrupt(run) }
            try await fleet.ended(runs)
            let facts = try await fleet.facts(of: runs, asked: requester.asked)
            print("pushes twice: \(facts.summary), by \(try await fleet.ways(of: runs))")
            #expect(facts.violations == [])
            let receipts = facts.events.filter { event in event.name == "acknowledged" && runs.contains(event.run) }
            #expect(receipts.count == runs.count)
        }
    }

    @Test func `that trickles a byte every 20 ms applies it when it is well again, once`() async throws {
        try await behindProxy { fleet, proxy, requester in
            let runs = try await fleet.start(2)
            // 1 KB/s: slow, and enough for a message in half a second.
            proxy.rules.toClient = .trickling(bytes: 20, every: .milliseconds(20))
            let time = try await interrupt(runs[0], requester)
            // 50 bytes a second: no reply arrives within its time.
            let trickle = FaultRules.Way.trickling(bytes: 1, every: .milliseconds(20))
            proxy.rules = FaultRules(toServer: trickle, toClient: trickle)
            #expect(await requester.interrupt(runs[1]) == .recorded)
            try await fleet.log(of: "w1", has: "no connection to Redis")
            proxy.rules = FaultRules()
            let begin = ContinuousClock.now
            try await fleet.ended(runs)
            let facts = try await fleet.facts(of: runs, asked: requester.asked)
            print(
                "1 KB/s: gone after \(time); 50 B/s: gone \(begin.duration(to: .now)) after it was well; \(facts.summary)"
            )
            #expect(facts.violations == [])
        }
    }

    @Test(arguments: [FaultRules.halfOpen, FaultRules(toServer: .silent), FaultRules(toClient: .silent)])
    func `that is half-open is noticed in seconds, and what was asked is applied when it heals`(rules: FaultRules)
        async throws
    {
        try await behindProxy { fleet, proxy, requester in
            let runs = try await fleet.start(5)
            proxy.rules = rules
            let broken = ContinuousClock.now
            for run in runs { await requester.interrupt(run) }
            try await fleet.log(of: "w1", has: "no connection to Redis")
            let noticed = broken.duration(to: .now)
            proxy.rules = FaultRules()
            let healed = ContinuousClock.now
            try await eventually("they are gone") { livingRuns(among: Set(runs)).isEmpty }
            let applied = healed.duration(to: .now)
            try await fleet.ended(runs)
            let facts = try await fleet.facts(of: runs, asked: requester.asked)
            print(
                "half-open: noticed after \(noticed), applied \(applied) after it healed, by \(try await fleet.ways(of: runs)); \(facts.summary)"
            )
            #expect(facts.violations == [])
            #expect(noticed < .seconds(10) && applied < .seconds(10))
        }
    }

    @Test(arguments: [FaultRules.Ending.close, .reset])
    func `that cuts every connection again and again loses nothing`(ending: FaultRules.Ending) async throws {
        // A Unix socket knows no reset.
        try await behindProxy(listensOnTCP: ending == .reset) { fleet, proxy, requester in
            var all: [RunID] = []
            for _ in 0..<3 * faultScale {
                let runs = try await fleet.start(20)
                all += runs
                for (number, run) in runs.enumerated() {
                    if number % 4 == 0 { proxy.cut(ending) }
                    await requester.interrupt(run)
                }
                try await proxy.refuseConnections()
                try await proxy.acceptConnections()
                try await fleet.ended(runs)
            }
            let facts = try await fleet.facts(of: all, asked: requester.asked)
            print("cut again and again (\(ending)): \(facts.summary), by \(try await fleet.ways(of: all))")
            #expect(facts.violations == [])
            if ending == .reset { try await fleet.log(of: "w1", has: "the server reset the connection") }
        }
    }
}
