import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `Interrupted job` {
    private static let endless = "while :; do sleep 1; done"

    @Test func `terminate ends it`() async throws {
        let job = try JobUnderTest(bash: "echo ready; exec sleep 1000")
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, termSignal: SIGTERM))
    }

    @Test func `drain lets it finish`() async throws {
        let job = try JobUnderTest(bash: "echo ready; read -t 0.3 < <(sleep 10); exit 0")
        #expect(await job.runInterrupted(.drain) == RunEnding(state: .completed, exitCode: 0))
    }

    @Test func `a handler that saves and exits with 0 makes it interrupted`() async throws {
        let job = try JobUnderTest(bash: "trap 'echo saved; exit 0' TERM; echo ready; \(Self.endless)")
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, exitCode: 0))
        #expect(job.seen.text().hasSuffix("saved\n"))
    }

    @Test func `a deaf one is forced after its grace period`() async throws {
        var job = try JobUnderTest(bash: "trap '' TERM; echo ready; \(Self.endless)")
        job.order.gracePeriod = .milliseconds(300)
        let start = ContinuousClock.now
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, termSignal: SIGKILL))
        #expect(.now - start >= .milliseconds(300))
    }

    @Test func `one that reacts is not kept waiting for the rest of its grace period`() async throws {
        var job = try JobUnderTest(bash: "trap 'echo saved; exit 3' TERM; echo ready; \(Self.endless)")
        job.order.gracePeriod = .seconds(3_600)
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, exitCode: 3))
        #expect(job.seen.text().hasSuffix("saved\n"))
    }

    @Test func `the interrupt's own grace period comes first`() async throws {
        let job = try JobUnderTest(bash: "trap '' TERM; echo ready; \(Self.endless)")
        let ending = await job.run { scope, seen in
            await seen.wait(for: "ready")
            scope.receive(InterruptSignal(gracePeriod: .milliseconds(100)))
        }
        #expect(ending.termSignal == SIGKILL)
    }

    @Test func `one that ignores SIGTERM but finishes in time ended by itself`() async throws {
        let job = try JobUnderTest(
            bash: "trap '' TERM; echo ready; while ! [ -e go ]; do read -t 0.05 < <(sleep 1); done; exit 0"
        )
        var placed = job
        placed.order.directory = job.directory.path.string
        let ending = await placed.run { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt()
            _ = try? job.directory.write("", to: "go")  // a failure shows as a test that runs into its limit
        }
        #expect(ending == RunEnding(state: .completed, exitCode: 0, isLateInterrupt: true))
    }

    @Test func `a stopped one reacts to terminate`() async throws {
        let report = "until grep -q '^State:.T' /proc/$$/status; do sleep 0.01; done; echo ready"
        let job = try JobUnderTest(
            bash: "trap 'echo woken; exit 7' TERM; (\(report)) & kill -STOP $$; \(Self.endless)"
        )
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, exitCode: 7))
    }

    @Test func `a stopped child reacts to terminate too, not only the leader`() async throws {
        let child = "trap 'echo woken; exit 0' TERM; kill -STOP $BASHPID; while :; do sleep 0.1; done"
        let job = try JobUnderTest(
            bash: "(\(child)) & until grep -q '^State:.T' /proc/$!/status; do sleep 0.01; done; echo ready; wait"
        )
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(job.seen.text().contains("woken"))
    }

    @Test func `kill is at once, and an escalation does not wait for the grace period`() async throws {
        let job = try JobUnderTest(bash: "trap '' TERM; echo ready; \(Self.endless)")
        #expect(await job.runInterrupted(.kill) == RunEnding(state: .interrupted, termSignal: SIGKILL))
        let escalated = try JobUnderTest(bash: "trap '' TERM; echo ready; \(Self.endless)")
        let ending = await escalated.run { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt(stage: .terminate)
            scope.interrupt(stage: .kill)
        }
        #expect(ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
    }

    @Test func `a whole pipeline with its background children is gone afterwards`() async throws {
        let job = try JobUnderTest(
            bash: "sleep 999 | sleep 998 & (sleep 997 & sleep 996) & echo leader=$$ ready; sleep 995 | cat; wait"
        )
        #expect(await job.runInterrupted().state == .interrupted)
        let leader = try #require(numbers(after: "leader", in: job.seen.text()).first)
        #expect(!ProcessStatus.allProcesses().compactMap(ProcessStatus.init(of:)).contains { $0.group == leader })
    }

    @Test func `children keep their grace period after the leader ended of the interrupt`() async throws {
        let child = "trap 'echo cleaned; exit 0' TERM; echo child=$BASHPID ready; while :; do sleep 0.1; done"
        let job = try JobUnderTest(bash: "(\(child)) & wait")
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(job.seen.text().contains("cleaned"))
    }

    @Test func `children that are deaf are forced after the grace period though the leader ended`() async throws {
        // The leader says when they are ready: until it is back from its fork it has SIGTERM blocked.
        var job = try JobUnderTest(
            bash: """
                exec 3< <(trap '' TERM; echo child=$BASHPID; exec sleep 1000)
                read -r line <&3; echo "$line ready"; wait $!
                """
        )
        job.grace = .milliseconds(200)
        #expect(await job.runInterrupted() == RunEnding(state: .interrupted, termSignal: SIGTERM))
        let child = try #require(numbers(after: "child", in: job.seen.text()).first)
        #expect(!isRunning(child))
    }

    /// In its group, in another session, and with nothing that tells whose they are.
    @Test(arguments: Hold.allCases, [Int32(0), 4])
    func `left-overs of one that ended by itself are killed at once`(hold: Hold, code: Int32) async throws {
        let deaf = "trap \"\" TERM; echo child=$$; : > here.$$; exec sleep 1000"
        var job = try JobUnderTest(
            bash: """
                bash -c '\(deaf)' & (setsid bash -c '\(deaf)' &); (env -i setsid bash -c '\(deaf)' &)
                until set -- here.*; [ $# = 3 ]; do :; done; exit \(code)
                """
        )
        job.order.directory = job.directory.path.string
        job.usesCgroups = hold == .cgroup
        #expect(await job.run() == RunEnding(state: code == 0 ? .completed : .failed, exitCode: code))
        let children = numbers(after: "child", in: job.seen.text())
        #expect(children.count == 3)
        for child in children { #expect(!isRunning(child)) }
    }

    @Test(arguments: Hold.allCases)
    func `a grandchild outside the group that holds the pipe does not hold up the end, and is gone`(hold: Hold)
        async throws
    {
        // It has left once it leads a group of its own.
        var job = try JobUnderTest(
            bash: """
                setsid sleep 300 & until read -r _ _ _ _ group _ < /proc/$!/stat && [ "$group" = $! ]; do :; done
                echo child=$!; exit 0
                """
        )
        job.usesCgroups = hold == .cgroup
        let start = ContinuousClock.now
        #expect(await job.run() == RunEnding(state: .completed, exitCode: 0))
        #expect(.now - start < .seconds(60))
        let children = numbers(after: "child", in: job.seen.text())
        #expect(children.count == 1)
        for child in children { #expect(!isRunning(child)) }
    }

    @Test(arguments: Hold.allCases)
    func `somebody else who has its output open does not hold up the end`(hold: Hold) async throws {
        var job = try JobUnderTest(bash: "echo leader=$$ ready; exec sleep 1000")
        job.usesCgroups = hold == .cgroup
        let held = Mutex<Int32>(-1)
        let ending = await job.run { scope, seen in
            await seen.wait(for: "ready")
            let leader = numbers(after: "leader", in: seen.text()).first ?? 0
            held.withLock { $0 = open("/proc/\(leader)/fd/1", O_WRONLY | O_CLOEXEC) }
            scope.interrupt()
        }
        #expect(ending == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(held.withLock { close($0) } == 0)
    }

    @Test func `an interrupt after the exit is late`() async throws {
        let job = try JobUnderTest("true")
        let ending = await withInterruptScope(run: job.order.run) { scope in
            await job.runner.run(job.order, scope: scope) { pid in
                // The leader is a zombie from here on, and `run` has not looked at its end yet, or just now.
                try? await eventually("it has exited") { !isRunning(pid) }  // else what follows fails
                scope.interrupt()
            } output: { _ in
            }
        }
        #expect(ending?.bare == RunEnding(state: .completed, exitCode: 0, isLateInterrupt: true))
    }

    @Test func `cancelling the task kills it and leaves nothing`() async throws {
        let job = try JobUnderTest(bash: "trap '' TERM; sleep 1000 & echo child=$! leader=$$ ready; wait")
        let task = Task { await job.run() }  // awaited below
        await job.seen.wait(for: "ready")
        task.cancel()
        #expect(await task.value == RunEnding(state: .interrupted, termSignal: SIGKILL))
        for label in ["child", "leader"] {
            let pid = try #require(numbers(after: label, in: job.seen.text()).first)
            #expect(!isRunning(pid))
        }
    }

    @Test func `an exit that races with terminate ends consistently, 200 times`() async throws {
        let directory = try TemporaryDirectory()
        var states: [RunState: Int] = [:]
        for round in 0..<200 {
            let job = try JobUnderTest("true", in: directory)
            let ending = await withInterruptScope(run: job.order.run) { scope in
                await job.runner.run(job.order, scope: scope) { _ in
                    for _ in 0..<(round * 5) { await Task.yield() }
                    scope.interrupt()
                } output: { _ in
                }
            }
            let ended = try #require(ending?.bare)
            states[ended.state, default: 0] += 1
            switch ended.state {
            case .interrupted: #expect(ended == RunEnding(state: .interrupted, termSignal: SIGTERM))
            default: #expect(ended == RunEnding(state: .completed, exitCode: 0, isLateInterrupt: true))
            }
        }
        #expect(states.values.reduce(0, +) == 200)
    }
}
