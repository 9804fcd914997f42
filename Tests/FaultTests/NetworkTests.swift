import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(
    .serialized,
    .timeLimit(.minutes(4 * faultScale)),
    .enabled(if: TestNetwork.isPossible, "no network namespaces here: they need root, iproute2 and nftables")
)
struct `A worker on another host` {
    /// A worker at the other end of a cable, its pid, and who asks from this end.
    private func withRemoteWorker(
        _ body: @Sendable (Fleet, TestNetwork, Requester) async throws -> Void
    ) async throws {
        try await TestNetwork.with { network in
            try await withTemporaryDirectory { directory in
                let open = ["--bind", "127.0.0.1 \(network.address)", "--protected-mode", "no", "--appendonly", "yes"]
                try await withRedis(arguments: open, tcp: true) { redis in
                    let fleet = Fleet(redis: redis, directory: directory)
                    let arguments = ["--redis", "redis://\(network.address):\(redis.port!)", "--concurrency", "40"]
                    try await fleet.worker("w1", arguments, under: network.prefix) { daemon in
                        try await withRequester(redis.endpoint) { try await body(fleet, network, $0) }
                        #expect(isRunning(daemon))
                    }
                }
            }
        }
    }

    @Test(arguments: [(true, true), (true, false), (false, true)])
    func `whose packets are dropped notices in seconds, says so, and hears everything when that ends`(
        sent: Bool,
        received: Bool
    ) async throws {
        try await withRemoteWorker { fleet, network, requester in
            let runs = try await fleet.start(10)
            try await network.drop(port: fleet.redis.port!, sent: sent, received: received)
            let broken = ContinuousClock.now
            for run in runs { await requester.interrupt(run) }
            try await fleet.log(of: "w1", has: "no connection to Redis")
            let noticed = broken.duration(to: .now)
            // What does not get through at once may wait for a retransmission; nobody hears of anything.
            try await Task.sleep(for: .seconds(2 * faultScale))
            if received { #expect(livingRuns(among: Set(runs)).count == 10) }
            try await network.heal()
            let healed = ContinuousClock.now
            try await eventually("they are gone") { livingRuns(among: Set(runs)).isEmpty }
            let applied = healed.duration(to: .now)
            try await fleet.ended(runs)
            let facts = try await fleet.facts(of: runs, asked: requester.asked)
            print(
                "dropped (sent \(sent), received \(received)): noticed after \(noticed), applied \(applied) after it healed, by \(try await fleet.ways(of: runs)); \(facts.summary)"
            )
            #expect(facts.violations == [])
            #expect(noticed < .seconds(10) && applied < .seconds(10))
        }
    }

    @Test func `whose cable is plugged out and in every second loses nothing`() async throws {
        try await withRemoteWorker { fleet, network, requester in
            let runs = try await fleet.start(40)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for round in 0..<8 * faultScale {
                        try await network.cable(isPlugged: round % 2 == 1)
                        try await Task.sleep(for: .seconds(1))  // the flapping itself
                    }
                }
                group.addTask {
                    for run in runs {
                        await requester.interrupt(run)
                        try await Task.sleep(for: .milliseconds(150))  // spread over all of it
                    }
                }
                try await group.waitForAll()
            }
            let healed = ContinuousClock.now
            try await fleet.ended(runs)
            let facts = try await fleet.facts(of: runs, asked: requester.asked)
            print(
                "flapping: \(facts.summary), by \(try await fleet.ways(of: runs)); the last \(healed.duration(to: .now)) after the end"
            )
            #expect(facts.violations == [])
        }
    }
}
