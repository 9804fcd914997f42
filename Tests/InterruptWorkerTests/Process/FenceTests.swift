import Glibc
import InterruptCore
import InterruptTesting
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `A fence` {
    /// Deaf, with a process that has left the session.
    private let stubborn = "trap '' TERM; (setsid sleep 1000 &); echo ready; while :; do sleep 1000; done"

    private func run(_ fence: RunFence, hold: Hold, _ during: @escaping @Sendable (InterruptScope) async -> Void)
        async throws -> (ending: RunEnding?, left: [Int32])
    {
        var job = try JobUnderTest(bash: stubborn)
        job.usesCgroups = hold == .cgroup
        let seen = job.seen
        return await withInterruptScope(run: job.order.run) { [job] scope in
            async let other: Void = {
                await seen.wait(for: "ready")
                await during(scope)
            }()
            let ending = await job.runner.run(job.order, scope: scope, fence: fence) { seen.take($0) }
            if ending?.state == .lost, seen.text().isEmpty { seen.take([.ready]) }
            await other
            return (ending, carriers(of: job.order.run))
        }
    }

    @Test(arguments: Hold.allCases)
    func `ends the whole tree when it is reached, and the run is lost`(hold: Hold) async throws {
        let fence = RunFence(at: .now.advanced(by: .seconds(60)))
        let (ending, left) = try await run(fence, hold: hold) { _ in
            fence.move(to: .now.advanced(by: .milliseconds(200)))
        }
        #expect(ending?.state == .lost)
        #expect(ending?.error?.contains("lease") == true)
        #expect(left.isEmpty)
    }

    @Test(arguments: Hold.allCases)
    func `that is moved on again and again ends nobody`(hold: Hold) async throws {
        var state: RunState?
        // Where nobody had a processor in time, the fence was rightly reached: then again with one further away.
        for margin in [Duration.milliseconds(400), .milliseconds(1_600), .milliseconds(6_400)]
        where state != .interrupted {
            let fence = RunFence(at: .now.advanced(by: .seconds(60)))
            let (ending, _) = try await run(fence, hold: hold) { scope in
                for _ in 0..<18 {
                    fence.move(to: .now.advanced(by: margin))
                    try? await Task.sleep(for: margin / 10)  // the distance of renewals; cancelled: there is none
                }
                fence.move(to: .now.advanced(by: .seconds(60)))
                scope.interrupt(stage: .kill)
            }
            state = ending?.state
        }
        #expect(state == .interrupted)
    }

    @Test(.enabled(if: (try? CgroupPlace.ofProcess().get()) != nil, "a supervisor that stands still is ended"))
    func `that was moved on while the guard stood still is where it was moved last`() async throws {
        var job = try JobUnderTest(bash: "echo guard=$PPID ready; until [ -e go ]; do sleep 0.01; done; sleep 0.3")
        job.order.directory = job.directory.path.string
        let fence = RunFence(at: .now.advanced(by: .seconds(60)))
        let ending = try await withInterruptScope(run: job.order.run) { [job] scope in
            async let ending = job.runner.run(job.order, scope: scope, fence: fence) { job.seen.take($0) }
            await job.seen.wait(for: "ready")
            let guardian = try #require(numbers(after: "guard", in: job.seen.text()).first)
            try await stop(guardian)
            let near = BootTime.now.advanced(by: .milliseconds(20))
            fence.move(to: near)
            fence.move(to: .now.advanced(by: .seconds(60)))
            while BootTime.now <= near { await Task.yield() }
            kill(guardian, SIGCONT)
            _ = try job.directory.write("", to: "go")
            return await ending
        }
        #expect(ending?.state == .completed)
    }

    @Test(arguments: Hold.allCases)
    func `that was reached before the start lets nothing start`(hold: Hold) async throws {
        let (ending, left) = try await run(RunFence(at: .now), hold: hold) { _ in }
        #expect(ending?.state == .lost)
        #expect(ending?.output?.byteCount == 0)
        #expect(left.isEmpty)
    }

    @Test func `that lets nothing start leaves no supervisor behind`() async throws {
        // A supervisor may not be free yet when the next run begins; as many as are kept for later are none too many.
        let kept = 16
        let guardian = "$(awk '/^PPid/ { print $2 }' /proc/$PPID/status)"
        let script = """
            pid=\(guardian)
            for i in {1..500}; do
                n=$(wc -w < /proc/$pid/task/$pid/children)
                [ $n -gt \(kept + 1) ] || break
                sleep 0.01
            done
            echo n=$n
            """
        var job = try JobUnderTest(bash: script)
        job.usesCgroups = false
        let (runner, order, seen) = (job.runner, job.order, job.seen)
        for _ in 0..<3 * kept {
            var late = order
            late.run = .random()
            let ending = await withInterruptScope(run: late.run) { [late] scope in
                await runner.run(late, scope: scope, fence: RunFence(at: .now)) { _ in }
            }
            #expect(ending?.state == .lost)
        }
        _ = await withInterruptScope(run: order.run) { scope in
            await runner.run(order, scope: scope) { seen.take($0) }
        }
        let count = try #require(numbers(after: "n", in: seen.text()).first)
        #expect(count >= 1 && count <= kept + 1)
    }

    @Test(arguments: Hold.allCases)
    func `leaves an interrupt that came before it what it is`(hold: Hold) async throws {
        let fence = RunFence(at: .now.advanced(by: .seconds(60)))
        let (ending, _) = try await run(fence, hold: hold) { scope in
            scope.interrupt(stage: .terminate)
            fence.move(to: .now.advanced(by: .milliseconds(200)))
        }
        #expect(ending?.state == .interrupted)
    }
}

extension OutputChunk {
    fileprivate static var ready: OutputChunk { OutputChunk(stream: .output, offset: 0, bytes: Array("ready".utf8)) }
}
