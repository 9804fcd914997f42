import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Testing

@testable import InterruptWorker

/// Jobs that react to a stop, and jobs that do all they can not to.
private let kinds = [
    "echo ready; exec sleep 1000",
    "trap 'exit 0' TERM; sleep 1000 & echo ready; wait",
    "trap '' TERM; echo ready; while :; do sleep 1000; done",
    "(setsid bash -c 'trap \"\" TERM; exec sleep 1000' &); echo ready; exec sleep 1000",
    "sleep 1000 & echo ready; kill -STOP $$",
]

@Suite(.timeLimit(.minutes(2)), .serialized) struct `A thousand stops` {
    private static let gracePeriod = Duration.milliseconds(100)

    @Test(arguments: Hold.allCases)
    func `take a second more than their grace period at most, half of them in each kind of tree`(hold: Hold)
        async throws
    {
        let directory = try TemporaryDirectory()
        let runner = ProcessRunner(
            outputDirectory: directory.path,
            defaultGracePeriod: Self.gracePeriod,
            baseEnvironment: ["PATH": "/usr/bin:/bin"],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            giveUpAfter: .seconds(30),
            usesCgroups: hold == .cgroup
        )
        let times = try await withThrowingTaskGroup(of: [Duration].self) { group in
            for lane in 0..<10 {
                group.addTask {
                    var times: [Duration] = []
                    for number in 0..<50 { times.append(try await Self.stop(number + lane, runner)) }
                    return times
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(times.count == 500)
        let slowest = try #require(times.max())
        print("500 stops, \(hold): the slowest took \(slowest), its grace period is \(Self.gracePeriod)")
        #expect(slowest < Self.gracePeriod + .seconds(1))
    }

    /// How long it takes from the stop of a job until it is known that nothing of it is left.
    private static func stop(_ number: Int, _ runner: ProcessRunner) async throws -> Duration {
        let order = try RunOrder(bash: kinds[number % kinds.count])
        let seen = SeenOutput()
        return await withInterruptScope(run: order.run) { scope in
            async let end = runner.run(order, scope: scope) { seen.take($0) }
            await seen.wait(for: "ready")
            let asked = ContinuousClock.now
            scope.interrupt(stage: number % 7 == 0 ? .kill : .terminate)
            let ending = await end
            #expect(ending?.state == .interrupted)
            return .now - asked
        }
    }
}
