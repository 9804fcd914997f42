import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `A worker that stands still` {
    @Test func `beyond several timeouts applies each of them once, as soon as it goes on`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "10"]) { daemon in
                var runs: [RunID] = []
                for seconds in 10...12 { runs += try await fleet.start(2, timeout: .seconds(seconds)) }
                try await stop(daemon)
                let last = try #require(try await fleet.records(of: runs).compactMap(\.startedAt).max())
                try await fleet.asking { client in
                    try await eventually("all of them are overdue") {
                        try await client.serverTime() - last > .seconds(12.5)
                    }
                }
                #expect(livingRuns(among: Set(runs)).count >= 4, "what stands still ends nothing")
                let begin = ContinuousClock.now
                kill(daemon, SIGCONT)
                try await eventually("all are gone", within: .seconds(10)) { livingRuns(among: Set(runs)).isEmpty }
                print("overdue timeouts: all gone \(begin.duration(to: .now)) after it went on")
                try await fleet.ended(runs)
                let records = try await fleet.records(of: runs)
                #expect(records.allSatisfy { $0.state == .interrupted && $0.reason == .timeout })
                let facts = try await fleet.facts(of: runs, asked: [], endedByOthers: Set(runs))
                #expect(facts.violations == [] && isRunning(daemon))
            }
        }
    }
}

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `A wall clock that jumps` {
    /// A worker `w1` whose clock lies.
    private func withLyingWorker(
        _ arguments: String...,
        body: @Sendable (Fleet, _ daemon: Int32, LyingClock) async throws -> Void
    ) async throws {
        try await withFleet { fleet in
            let clock = try await LyingClock(in: fleet.directory)
            let lying = ["env", "LD_PRELOAD=\(clock.preload)"]
            try await fleet.worker("w1", arguments, under: lying) { try await body(fleet, $0, clock) }
        }
    }

    /// How many hours the worker has seen: its log has the time of day.
    private func hours(in fleet: Fleet) throws -> Int {
        Set(try fleet.lines(of: "w1").compactMap { $0.split(separator: ":").first }).count
    }

    @Test func `by an hour, forth and back, moves no timeout`() async throws {
        try await withLyingWorker("--concurrency", "100") { fleet, daemon, clock in
            var runs: [RunID: Duration] = [:]
            for number in 0..<10 * faultScale {
                let timeout = Duration.milliseconds(3_000 + 200 * (number % 10))
                for run in try await fleet.submit(1, timeout: timeout) { runs[run] = timeout }
            }
            let all = Set(runs.keys)
            try await eventually("all of them have begun") {
                try await fleet.records(of: Array(all)).allSatisfy { $0.startedAt != nil }
            }
            // Some come while the clock is an hour ahead, the others an hour behind. Another job makes the worker say
            // what time it is.
            try clock.jump(by: .seconds(3_600))
            #expect(try await fleet.control("run", "--", "true").exitCode == 0)
            try await eventually("the first has come") {
                try await fleet.records(of: Array(all)).contains { $0.state.isEnd }
            }
            try clock.jump(by: .seconds(-3_600))
            #expect(try await fleet.control("run", "--", "true").exitCode == 0)
            try await fleet.ended(Array(all))
            let records = try await fleet.records(of: Array(all))
            let late = records.compactMap { record -> Duration? in
                guard record.reason == .timeout, let startedAt = record.startedAt,
                    let requestedAt = record.requestedAt, let timeout = runs[record.run]
                else { return nil }
                return requestedAt - startedAt - timeout
            }.sorted()
            print("clock jumps: \(late.count) timeouts, \(late.first ?? .zero) to \(late.last ?? .zero) after due")
            #expect(late.count == runs.count)
            // From the claim to the receipt; 50 ms of it are the timeout's own. A busy machine delays some of them; a
            // timeout that goes by this clock comes at once, or an hour late.
            #expect(late.allSatisfy { $0 >= .milliseconds(-5) && $0 < .seconds(20) }, "\(late)")
            #expect(try await fleet.facts(of: Array(all), asked: [], endedByOthers: all).violations == [])
            #expect(try hours(in: fleet) >= 3 && isRunning(daemon))
        }
    }

    @Test func `by an hour, forth and back, moves no lease and no fence`() async throws {
        try await withLyingWorker("--lease", "6s") { fleet, daemon, clock in
            let submitted = try await fleet.control(
                ["submit", "--id", "leased", "--retries", "1", "--", "bash", "-c", JobKind.deaf.script]
            )
            try #require(submitted.exitCode == 0, "\(submitted)")
            let run = try await fleet.wait(for: "leased", .running).run
            for offset in [Duration.seconds(3_600), .seconds(-3_600), .zero] {
                try clock.jump(by: offset)
                // Longer than the lease: what would be fenced or silent by a wrong clock is by then.
                try await fleet.asking { client in
                    let name = try Name("w1")
                    let before = try #require(try await client.worker(name.description)).heartbeat
                    try await eventually("it goes on being heard of", within: .seconds(20)) {
                        try await client.worker(name.description).map { $0.heartbeat >= before + 4 } ?? false
                    }
                    let record = try #require(try await client.record(of: run))
                    #expect(record.state == .running && record.silentSince == nil)
                    #expect(livingRuns(among: [run]).count == 1)
                }
            }
            // No heartbeat moves the fence any more. Before it is reached, the clock jumps back by an hour.
            try await stop(daemon)
            try clock.jump(by: .seconds(-3_600))
            try await eventually("the run is fenced", within: .seconds(20)) { livingRuns(among: [run]).isEmpty }
            kill(daemon, SIGCONT)
            try await fleet.asking { client in
                let name = try Name("leased")
                try await eventually("it is tried again", within: .seconds(20)) {
                    try await client.newestRun(of: name).map { $0.attempt == 2 && $0.state == .running } ?? false
                }
                #expect(try await client.record(of: run)?.state == .lost)
            }
            // It says little, and not in each of them.
            #expect(try hours(in: fleet) >= 2)
        }
    }
}
