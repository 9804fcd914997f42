import Glibc
import InterruptCore
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
        let fence = RunFence(at: .now.advanced(by: .seconds(5)))
        let (ending, _) = try await run(fence, hold: hold) { scope in
            let end = BootTime.now.advanced(by: .milliseconds(700))
            while BootTime.now < end {
                fence.move(to: .now.advanced(by: .milliseconds(400)))
                await Task.yield()
            }
            fence.move(to: .now.advanced(by: .seconds(60)))
            scope.interrupt(stage: .kill)
        }
        #expect(ending?.state == .interrupted)
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
