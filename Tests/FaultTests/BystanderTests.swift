import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `A flood of requests for one run, and a listener that does not read`
{
    @Test func `keep no interrupt of another run from its worker`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "101"]) { daemon in
                let (flooded, others) = (try await fleet.start(1)[0], try await fleet.start(100))
                try await withRequester(fleet.redis.endpoint) { flood in
                    try await withRequester(fleet.redis.endpoint) { requester in
                        try await besideSilentListener(fleet) {
                            await interrupt(others, by: requester, whileFlooding: flooded, by: flood)
                        }
                        await requester.interrupt(flooded)
                        try await fleet.ended(others + [flooded])
                        let asked = flood.asked + requester.asked
                        let facts = try await fleet.facts(of: others + [flooded], asked: asked)
                        let times = try await fleet.latencies(of: others)
                        let (middle, slow) = (times.percentile(50), times.percentile(99))
                        print("flood of \(flood.asked.count): \(facts.summary); by \(try await fleet.ways(of: others))")
                        print("    of others, request to receipt: p50 \(middle), p99 \(slow)")
                        #expect(facts.violations == [] && asked.allSatisfy { $0.answer == .recorded })
                        #expect(facts.runs.allSatisfy { $0.state == .interrupted })
                        #expect(times.count == others.count && slow < .seconds(10))
                        #expect(isRunning(daemon))
                    }
                }
            }
        }
    }

    /// Interrupts runs one after the other. Until all of them are asked to end, and 2,000 times at least, another
    /// is asked to drain, as fast as one connection takes it.
    private func interrupt(
        _ others: [RunID],
        by requester: Requester,
        whileFlooding flooded: RunID,
        by flood: Requester
    ) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                repeat {
                    await withTaskGroup(of: Void.self) { batch in
                        for _ in 0..<50 { batch.addTask { await flood.interrupt(flooded, .drain) } }
                    }
                } while flood.asked.count < 2_000 * faultScale || requester.asked.count < others.count
            }
            group.addTask {
                try? await eventually("the flood has begun") { !flood.asked.isEmpty }  // else what follows says so
                for run in others { await requester.interrupt(run) }
            }
        }
    }

    /// Runs `body` beside an `interruptctl watch` that stands still: the server has more for it than its socket takes.
    private func besideSilentListener(_ fleet: Fleet, _ body: () async throws -> Void) async throws {
        _ = try await run(
            .path(Fleet.programs.appending("interruptctl")),
            arguments: ["watch"],
            environment: fleet.environment,
            input: .none,
            output: .discarded,
            error: .discarded
        ) { execution in
            defer { try? execution.send(signal: .kill) }  // it may have ended
            try await eventually("it listens") {
                try await fleet.redis.command("PUBSUB", "NUMSUB", "interrupt:events").array?.last?.integer == 1
            }
            try await stop(execution.processIdentifier.value)
            // Less than the 8 MiB for which the server would end the connection after a minute.
            let text = String(repeating: "x", count: 65_536)
            for _ in 0..<64 { try await fleet.redis.command("PUBLISH", "interrupt:events", text) }
            #expect(try await isHeldBack(by: fleet.redis))
            try await body()
            #expect(try await isHeldBack(by: fleet.redis), "until the end")
        }
    }

    /// Whether the server keeps more than a mebibyte that a listener does not take.
    private func isHeldBack(by redis: TestRedis) async throws -> Bool {
        let listeners = try await redis.command("CLIENT", "LIST", "TYPE", "pubsub").text ?? ""
        return listeners.split(separator: "\n").contains { listener in
            let memory = listener.split(separator: " ").first { $0.hasPrefix("omem=") }
            return memory.flatMap { Int($0.dropFirst("omem=".count)) } ?? 0 > 1 << 20
        }
    }
}
