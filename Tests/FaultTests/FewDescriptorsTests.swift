import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `A worker that may open few files` {
    @Test func `starts as many jobs as it can, says of the others why not, and goes on`() async throws {
        // 64 on two cores: each core has an event loop with three. A run needs six.
        let limit = 58 + 3 * ProcessInfo.processInfo.processorCount
        try await withFleet { fleet in
            // Before their worker is there, so that it has all of them at once.
            let runs = try await fleet.submit(60)
            let limited = ["prlimit", "--nofile=\(limit):\(limit)"]
            try await fleet.worker("w1", ["--concurrency", "60"], under: limited) { daemon in
                try await eventually("each of them has its process, or has failed") {
                    let living = livingRuns(among: Set(runs))
                    return try await fleet.records(of: runs).allSatisfy { $0.state == .failed || living[$0.run] != nil }
                }
                let records = try await fleet.records(of: runs)
                let failed = records.filter { $0.state == .failed }
                let running = records.filter { $0.state == .running }.map(\.run)
                let reasons = Set(failed.map { $0.error ?? "none" })
                print("\(limit) descriptors: \(running.count) of 60 run; the others: \(reasons.sorted())")
                #expect(!running.isEmpty && !failed.isEmpty && running.count + failed.count == 60)
                #expect(reasons.allSatisfy { $0.hasSuffix("Too many open files") }, "\(reasons)")
                try await withRequester(fleet.redis.endpoint) { requester in
                    for run in running { #expect(await requester.interrupt(run) == .recorded) }
                    try await fleet.ended(runs)
                    #expect(try await fleet.facts(of: runs, asked: requester.asked).violations == [])
                }
                #expect(try await fleet.records(of: running).allSatisfy { $0.state == .interrupted })
                for _ in 0..<5 {
                    let ran = try await fleet.control("run", "--", "echo", "well")
                    #expect(ran.exitCode == 0 && ran.text == "well\n", "\(ran)")
                }
                #expect(isRunning(daemon))
            }
        }
    }
}
