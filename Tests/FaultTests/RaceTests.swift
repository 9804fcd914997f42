import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `An interrupt at a random moment` {
    @Test func `of a short run's life is never lost: it ends by it or before it, 300 times of 300`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "8"]) { daemon in
                var random = SeededRandom(seed: 2)
                var (all, endless): ([RunID], Set<RunID>) = ([], [])
                try await withRequester(fleet.redis.endpoint) { requester in
                    for round in 0..<300 * faultScale {
                        // Every other one ends by itself if nobody ends it.
                        let script = round.isMultiple(of: 2) ? "sleep 0.03" : "exec sleep 1000"
                        let runs = try await fleet.submit(1, script: script)
                        all += runs
                        if !round.isMultiple(of: 2) { endless.formUnion(runs) }
                        // Queued, claimed, spawned, running, ended: all of it takes about 60 ms.
                        try await Task.sleep(for: .microseconds(Int.random(in: 0...80_000, using: &random)))
                        await requester.interrupt(runs[0])
                    }
                    try await fleet.ended(all)
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    let states = Dictionary(grouping: facts.runs, by: \.state).map { "\($0.key) \($0.value.count)" }
                    print("at a random moment: \(facts.summary); \(states.sorted().joined(separator: ", "))")
                    print("    by \(try await fleet.ways(of: all))")
                    #expect(facts.violations == [])
                    #expect(facts.runs.allSatisfy { $0.state == .interrupted || !endless.contains($0.id) })
                    #expect(isRunning(daemon))
                }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `An interrupt of everything` {
    @Test func `reaches all workers but the dead one at once, and that one is named`() async throws {
        try await withFleet { fleet in
            let workers = ["w1", "w2", "w3", "dead"]
            try await withWorkers(workers, of: fleet) { pids in
                var runs: [String: [RunID]] = [:]
                for worker in workers { runs[worker] = try await fleet.start(10 * faultScale, queue: worker) }
                let all = runs.values.flatMap(\.self)
                let dead = try #require(runs["dead"])
                try await stop(try #require(pids["dead"]))
                try await Task.sleep(for: .milliseconds(3_200))  // its lease: before, nobody can know
                let begin = ContinuousClock.now
                async let asked = fleet.control("cancel", "all", "--yes", "--wait", "4s")
                let others = Set(all).subtracting(dead)
                try await eventually("all others are gone") { livingRuns(among: others).isEmpty }
                let time = begin.duration(to: .now)
                let said = try await asked
                #expect(said.exitCode == 5, "\(said)")
                let jobs = try await fleet.records(of: dead).map(\.job)
                #expect(jobs.allSatisfy { said.errors.contains($0) }, "the jobs of the dead worker are named")
                #expect((said.text + said.errors).contains("worker 'dead' is silent"), "\(said.text.suffix(500))")
                kill(try #require(pids["dead"]), SIGCONT)
                try await fleet.ended(all)
                let facts = try await fleet.facts(of: all, asked: [], endedByOthers: Set(all))
                print(
                    "all of \(all.count) runs: the others gone \(time) after the command was started; \(facts.summary)"
                )
                #expect(facts.violations == [] && facts.runs.allSatisfy { $0.state == .interrupted })
                #expect(time < .seconds(10), "a second, and the command's start on a busy machine")
            }
        }
    }

    /// Workers side by side, each with a queue of its own name.
    private func withWorkers(
        _ names: [String],
        of fleet: Fleet,
        pids: [String: Int32] = [:],
        _ body: @escaping @Sendable ([String: Int32]) async throws -> Void
    ) async throws {
        guard let name = names.first else { return try await body(pids) }
        try await fleet.worker(name, ["--queue", name, "--lease", "3s", "--concurrency", "\(10 * faultScale)"]) { pid in
            let known = pids.merging([name: pid]) { $1 }
            try await withWorkers(Array(names.dropFirst()), of: fleet, pids: known, body)
        }
    }
}
