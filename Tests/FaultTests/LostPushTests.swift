import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3 * faultScale))) struct `An interrupt whose push is lost` {
    /// A poll interval with its jitter, and room for what else there is to do.
    private let pollInterval = Duration.milliseconds(1_100) + .milliseconds(400)
    /// What a busy machine may make of that for some.
    private let limit = Duration.seconds(10)

    @Test
    func `is applied within a poll interval, 200 times of 200, when every subscription dies as it is asked`()
        async throws
    {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "20"]) { _ in
                var all: [RunID] = []
                try await withRequester(fleet.redis.endpoint) { requester in
                    for _ in 0..<10 * faultScale {
                        let runs = try await fleet.start(20)
                        all += runs
                        await withTaskGroup { group in
                            // At the same moment: before, between and after the requests.
                            group.addTask { _ = try? await fleet.redis.command("CLIENT", "KILL", "TYPE", "pubsub") }
                            for run in runs { group.addTask { await requester.interrupt(run) } }
                        }
                        try await fleet.ended(runs)
                    }
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    #expect(facts.violations == [])
                    let times = try await fleet.latencies(of: all)
                    print("subscriptions killed: \(facts.summary); by \(try await fleet.ways(of: all))")
                    let receipts = try await fleet.asking { client in
                        try await client.history(limit: 100_000) { $0.event == "acknowledged" }
                    }
                    let ways = receipts.compactMap { $0.fields["via"].flatMap(DeliveryWay.init) }
                    #expect(ways.count == all.count, "the history says by which way each came")
                    print("    request to receipt: p50 \(times.percentile(50)), slowest \(times.last ?? .zero)")
                    #expect(times.count == all.count && times.percentile(90) < pollInterval)
                    #expect(times.allSatisfy { $0 < limit }, "\(times.suffix(5))")
                }
            }
        }
    }

    @Test func `is applied within a poll interval when the server kicks a subscription that gets too much`()
        async throws
    {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "10"]) { _ in
                func subscribers() async throws -> Set<Substring> {
                    let list = try await fleet.redis.command("CLIENT", "LIST", "TYPE", "pubsub").text ?? ""
                    return Set(list.split(separator: "\n").compactMap { $0.split(separator: " ").first })
                }
                var all: [RunID] = []
                try await withRequester(fleet.redis.endpoint) { requester in
                    for _ in 0..<faultScale {
                        let runs = try await fleet.start(10)
                        all += runs
                        try await eventually("somebody listens") { try await !subscribers().isEmpty }
                        let before = try await subscribers()
                        try await fleet.kickSubscriptions()
                        for run in runs { await requester.interrupt(run) }
                        try await fleet.ended(runs)
                        let after = try await subscribers()
                        #expect(before.isDisjoint(with: after))
                    }
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    let times = try await fleet.latencies(of: all)
                    print("subscriptions kicked: \(facts.summary); by \(try await fleet.ways(of: all))")
                    #expect(facts.violations == [])
                    #expect(times.count == all.count && times.percentile(90) < pollInterval)
                    #expect(times.allSatisfy { $0 < limit }, "\(times.suffix(5))")
                }
            }
        }
    }

    @Test func `is applied within a poll interval while every subscription is killed 20 times a second`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "20"]) { _ in
                var all: [RunID] = []
                try await withRequester(fleet.redis.endpoint) { requester in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            while !Task.isCancelled {
                                _ = try? await fleet.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                                // The storm's own pace; it ends with the test.
                                try? await Task.sleep(for: .milliseconds(50))
                            }
                        }
                        defer { group.cancelAll() }
                        for _ in 0..<5 * faultScale {
                            let runs = try await fleet.start(20)
                            all += runs
                            for run in runs { await requester.interrupt(run) }
                            try await fleet.ended(runs)
                        }
                    }
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    let times = try await fleet.latencies(of: all)
                    print("storm of kills: \(facts.summary); by \(try await fleet.ways(of: all))")
                    print("    request to receipt: p50 \(times.percentile(50)), p99 \(times.percentile(99))")
                    #expect(facts.violations == [])
                    #expect(times.percentile(90) < pollInterval && times.percentile(99) < limit)
                }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `An interrupt that its worker cannot hear` {
    @Test func `because it is stopped is applied as soon as it goes on, 100 times of 100`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "100"]) { pid in
                let runs = try await fleet.start(100)
                try await withRequester(fleet.redis.endpoint) { requester in
                    try await stop(pid)
                    for run in runs { #expect(await requester.interrupt(run) == .recorded) }
                    // Long enough for the server to find that nobody reads; the processes do not notice anything.
                    try await Task.sleep(for: .seconds(2 * faultScale))
                    // Who is just beginning another program is not seen in a single look.
                    try await eventually("all of them are still there") { livingRuns(among: Set(runs)).count == 100 }
                    let start = ContinuousClock.now
                    kill(pid, SIGCONT)
                    try await eventually("all are gone") { livingRuns(among: Set(runs)).isEmpty }
                    let time = start.duration(to: .now)
                    try await fleet.ended(runs)
                    let facts = try await fleet.facts(of: runs, asked: requester.asked)
                    print("worker stopped: \(facts.summary); gone \(time) after it went on")
                    #expect(facts.violations == [])
                    #expect(facts.runs.allSatisfy { $0.state == .interrupted })
                    #expect(time < .seconds(10), "their grace period, and room for a busy machine")
                }
            }
        }
    }

    @Test func `because it has not started yet never starts anything, 100 times of 100`() async throws {
        try await withFleet { fleet in
            let runs = try await fleet.submit(100, script: "echo ran >> '\(fleet.directory)/ran'; exec sleep 1000")
            try await withRequester(fleet.redis.endpoint) { requester in
                for run in runs { #expect(await requester.interrupt(run) == .recorded) }
                try await fleet.worker("w1", ["--concurrency", "10"]) { _ in
                    #expect(try await fleet.control("run", "--", "true").exitCode == 0)
                    let facts = try await fleet.facts(of: runs, asked: requester.asked)
                    print("worker not started: \(facts.summary)")
                    #expect(facts.violations == [])
                    #expect(facts.runs.allSatisfy { $0.state == .interrupted })
                    #expect(access("\(fleet.directory)/ran", F_OK) != 0)
                }
            }
        }
    }

    @Test func `because it dies is on record, and the next worker finds nothing left`() async throws {
        try await withFleet { fleet in
            try await withRequester(fleet.redis.endpoint) { requester in
                let runs = try await fleet.worker("w1", ["--concurrency", "10"]) { pid in
                    let runs = try await fleet.start(5, .escaping) + fleet.start(5)
                    try await stop(pid)
                    for run in runs { #expect(await requester.interrupt(run) == .recorded) }
                    kill(pid, SIGKILL)
                    return runs
                }
                try await eventually("nothing of them is left", within: .seconds(10)) {
                    livingRuns(among: Set(runs)).isEmpty
                }
                try await fleet.worker("w1") { _ in
                    try await fleet.ended(runs)
                    let facts = try await fleet.facts(of: runs, asked: requester.asked)
                    #expect(facts.violations == [])
                    #expect(facts.runs.allSatisfy { $0.state == .lost })
                }
            }
        }
    }
}
