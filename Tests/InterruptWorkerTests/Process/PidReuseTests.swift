import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptWorker

@Suite(
    .timeLimit(.minutes(2)),
    .serialized,
    .enabled(if: PidNamespace.isPossible, "only root can say which process gets which number")
)
struct `A stranger with the number of a run's process` {
    private static let rounds = 50

    /// Runs `round` again and again with a guard whose processes get the numbers that the test wants.
    private func withNamespace(
        _ hold: Hold,
        round: (PidNamespace, ProcessRunner) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let namespace = try PidNamespace(in: directory)
        let runner = namespace.runner(hold, in: directory)
        _ = try await runner.prepare()
        for _ in 0..<Self.rounds { try await round(namespace, runner) }
    }

    @Test(arguments: Hold.allCases)
    func `right after its end is not signalled by an interrupt that comes then`(hold: Hold) async throws {
        try await withNamespace(hold) { namespace, runner in
            let order = try RunOrder(bash: "exit 3")
            let ending = await withInterruptScope(run: order.run) { scope in
                // The run goes on until `started` returns.
                await runner.run(order, scope: scope) { pid in
                    #expect(await namespace.makeStranger(pid))
                    scope.interrupt(stage: .terminate)
                    scope.interrupt(stage: .kill)
                    #expect(await namespace.endStranger(pid) == "nothing")
                } output: { _ in
                }
            }
            #expect(ending?.bare == RunEnding(state: .failed, exitCode: 3, isLateInterrupt: true))
        }
    }

    @Test(arguments: Hold.allCases)
    func `that has ended in its grace period is not signalled when the rest is forced`(hold: Hold) async throws {
        try await withNamespace(hold) { namespace, runner in
            // In one line, which is there at once.
            let order = try RunOrder(
                bash: """
                    true & ended=$!; wait $ended
                    setsid bash -c 'trap "" TERM; echo ended=$1 leader=$PPID ready; exec sleep 1000' sh $ended &
                    wait
                    """
            )
            let seen = SeenOutput()
            let ending = await withInterruptScope(run: order.run) { scope in
                async let end = runner.run(order, scope: scope) { seen.take($0) }
                await seen.wait(for: "ready")
                let pids = ["ended", "leader"].flatMap { numbers(after: $0, in: seen.text()) }
                #expect(pids.count == 2)
                #expect(await namespace.makeStranger(pids[0]))
                scope.interrupt(stage: .terminate)
                #expect(await namespace.makeStranger(pids[1]), "it is reaped while the rest goes on")
                scope.interrupt(stage: .kill)
                let ending = await end
                for pid in pids { #expect(await namespace.endStranger(pid) == "nothing") }
                return ending
            }
            #expect(ending?.bare == RunEnding(state: .interrupted, termSignal: SIGTERM))
            #expect(carriers(of: order.run).isEmpty)
        }
    }
}
