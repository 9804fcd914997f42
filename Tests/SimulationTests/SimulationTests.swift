import Foundation
import Testing

/// Time, the network, Redis, the processes and chance are simulated; what decides is the real thing.
@Suite(.timeLimit(.minutes(10))) struct `The state machines together` {
    /// As many as take about ten seconds in a debug build; `INTERRUPT_SIMULATION_COUNT` says otherwise.
    private static let count = number("INTERRUPT_SIMULATION_COUNT") ?? 1_500
    private static let seed = number("INTERRUPT_SIMULATION_SEED")

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    @Test func `keep what is promised in every schedule of faults`() async {
        if let seed = Self.seed { return replay(seed) }
        let first = UInt64.random(in: 0 ... .max >> 16)
        print("schedules \(first) to \(first + Self.count - 1)")
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let steps = await withTaskGroup(of: Int.self) { group in
            for core in 0..<UInt64(cores) {
                group.addTask {
                    var steps = 0
                    for seed in stride(from: first + core, to: first + Self.count, by: cores) {
                        let schedule = Schedule(seed: seed)
                        if let broken = schedule.run().first {
                            Issue.record("INTERRUPT_SIMULATION_SEED=\(seed): \(broken)")
                            break
                        }
                        steps += schedule.world.steps
                    }
                    return steps
                }
            }
            return await group.reduce(0, +)
        }
        #expect(steps > Int(Self.count) * 20, "nothing happens in these schedules")
    }

    private func replay(_ seed: UInt64) {
        let schedule = Schedule(seed: seed, isTraced: true)
        let broken = schedule.run()
        for line in schedule.world.trace { print(line) }
        #expect(broken == [])
    }

    @Test func `replay a schedule exactly`() {
        let traces = (0..<2).map { _ in
            let schedule = Schedule(seed: 7, isTraced: true)
            _ = schedule.run()
            return schedule.world.trace
        }
        #expect(traces[0].count > 10)
        #expect(traces[0] == traces[1])
    }
}
