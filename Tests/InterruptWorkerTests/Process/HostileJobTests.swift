import Foundation
import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `A job that works against what holds it` {
    @Test func `ends its own run only, when it stops its supervisor`() async throws {
        let directory = try TemporaryDirectory()
        for _ in 0..<20 {
            var job = try JobUnderTest(
                "bash",
                "-c",
                "(trap '' TERM; setsid sleep 100 &) ; kill -STOP $PPID; exec sleep 100",
                in: directory
            )
            job.usesCgroups = false
            let ending = await job.run()
            #expect(ending.error == "its supervisor was ended by somebody; what was left of it was ended")
            #expect(carriers(of: job.order.run).isEmpty)
        }
    }

    /// The supervisor is free for the next run then, and has no descriptor for what comes with it.
    @Test func `keeps its supervisor from no more than the next run, which is said`() async throws {
        // Where the guard has not heard yet that it is free, the next run gets another one: it has longer each time.
        for attempt in 0..<20 {
            var job = try JobUnderTest(bash: "prlimit --pid $PPID --nofile=5:5")
            job.usesCgroups = false
            let runner = job.runner
            let orders = try [job.order, RunOrder(bash: "true"), RunOrder(bash: "true")]
            var endings: [RunEnding?] = []
            for order in orders {
                endings.append(await withInterruptScope(run: order.run) { await runner.run(order, scope: $0) { _ in } })
                try await Task.sleep(for: .milliseconds(20 * attempt))  // nothing tells that the guard has heard
            }
            if endings[1]?.state == .completed { continue }
            #expect(endings.map(\.?.state) == [.completed, .failed, .completed])
            #expect(endings[1]?.error?.contains("ended by somebody") == true)
            return
        }
        Issue.record("no run ever got the supervisor of the one before")
    }

    /// In `$base`, the directory of the cgroup above all leaves.
    @Test(
        .enabled(if: getuid() == 0 && (try? CgroupPlace.ofProcess().get()) != nil),
        arguments: [
            "echo 0 > $base/cgroup.procs", "mkdir -p $base/hide; echo 0 > $base/hide/cgroup.procs",
        ]
    )
    func `leaves nobody behind in a cgroup that is no run's`(way: String) async throws {
        let base = try CgroupPlace.ofProcess().get().directory
        let hide = "(setsid bash -c 'trap \"\" TERM; base=\(base); \(way); echo ready; sleep 100' &)"
        let directory = try TemporaryDirectory()
        for script in ["\(hide); exec sleep 100", "base=\(base); \(way); \(hide); exec sleep 100"] {
            for stage in [InterruptStage.kill, .terminate] {
                let job = try JobUnderTest("bash", "-c", script, in: directory)
                #expect(await job.runInterrupted(stage).state == .interrupted)
                #expect(carriers(of: job.order.run).isEmpty)
            }
        }
        rmdir(base + "/hide")
    }
}

@Suite(.timeLimit(.minutes(1)), .enabled(if: ForeignGuard.isPossible))
struct `A job of the same user as its guard` {
    private func withGuard(
        giveUpAfter: Duration = .seconds(30),
        _ body: (ProcessRunner, ForeignGuard, TemporaryDirectory) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let guardian = try ForeignGuard(in: directory)
        do {
            let runner = guardian.runner(in: directory, giveUpAfter: giveUpAfter)
            guard case .cgroup = try await runner.prepare() else {
                Issue.record("no cgroups")
                return
            }
            try await body(runner, guardian, directory)
        }
        try await guardian.end()
    }

    /// Runs it until it has said something, and then interrupts it.
    private func runInterrupted(
        _ order: RunOrder,
        _ runner: ProcessRunner,
        started: @escaping @Sendable (Int32) async -> Void = { _ in }
    ) async -> RunEnding? {
        await withInterruptScope(run: order.run) { scope in
            await runner.run(order, scope: scope, started: started) { _ in scope.interrupt(stage: .kill) }?.bare
        }
    }

    @Test func `cannot keep itself from being killed by closing its own cgroup`() async throws {
        try await withGuard { runner, guardian, _ in
            let order = try RunOrder(
                bash:
                    """
                    cd \(guardian.base)/$INTERRUPT_RUN
                    setsid bash -c 'trap "" TERM; exec sleep 100' &
                    chmod 0 cgroup.kill cgroup.procs cgroup.freeze cgroup.events .
                    echo ready; wait
                    """
            )
            #expect(await runInterrupted(order, runner) == RunEnding(state: .interrupted, termSignal: SIGKILL))
            #expect(carriers(of: order.run).isEmpty)
        }
    }

    @Test func `leaves no cgroup behind, however it has closed those that it made`() async throws {
        try await withGuard { runner, guardian, _ in
            let order = try RunOrder(
                bash:
                    "cd \(guardian.base)/$INTERRUPT_RUN; mkdir -p a/b/c d; echo 0 > d/cgroup.procs; chmod 0 a/b/c a/b a d ."
            )
            let ending = await withInterruptScope(run: order.run) { scope in
                await runner.run(order, scope: scope) { _ in }
            }
            #expect(ending?.bare == RunEnding(state: .completed, exitCode: 0))
        }
    }

    @Test(arguments: [InterruptStage.kill, .terminate])
    func `does not keep what runs as another user from being ended through its cgroup`(
        stage: InterruptStage
    ) async throws {
        try await withGuard { runner, _, directory in
            let change = "\(directory.path)/change"
            try FileManager.default.copyItem(atPath: "/usr/bin/setpriv", toPath: change)
            try #require(chmod(change, 0o4755) == 0)
            var order = try RunOrder(
                bash:
                    "\(change) --reuid 0 --regid 0 --clear-groups setsid bash -c 'echo user=$UID; exec sleep 100' & wait"
            )
            order.gracePeriod = .milliseconds(100)
            let seen = SeenOutput()
            let ending = await withInterruptScope(run: order.run) { [order] scope in
                async let ending = runner.run(order, scope: scope) { seen.take($0) }
                await seen.wait(for: "user=0")
                scope.interrupt(stage: stage)
                return await ending
            }
            #expect(ending?.state == .interrupted)
            #expect(carriers(of: order.run).isEmpty)
        }
    }

    @Test func `holds up no later run by leaving a process behind that its user may not end`() async throws {
        try await withGuard(giveUpAfter: .milliseconds(500)) { runner, guardian, directory in
            let change = "\(directory.path)/change"
            try FileManager.default.copyItem(atPath: "/usr/bin/setpriv", toPath: change)
            try #require(chmod(change, 0o4755) == 0)
            let hidden = "\(guardian.base)/hidden"
            let order = try RunOrder(
                bash:
                    """
                    mkdir \(hidden)
                    setsid bash -c 'echo 0 > \(hidden)/cgroup.procs
                        exec \(change) --reuid 0 --regid 0 --clear-groups bash -c "echo changed; exec sleep 100"' &
                    wait
                    """
            )
            let leader = Mutex<Int32>(0)
            let first = await runInterrupted(order, runner) { pid in leader.withLock { $0 = pid } }
            #expect(first == nil, "it cannot be said to have ended")
            // Whoever reaps it looks at what is left of it before it hears of another run.
            let pid = leader.withLock { $0 }
            try await eventually("its leader is reaped") { ProcessStatus(of: pid) == nil }
            let later = try RunOrder(bash: "exit 4")
            let ending = await withInterruptScope(run: later.run) { scope in
                await runner.run(later, scope: scope) { _ in }
            }
            #expect(ending?.bare == RunEnding(state: .failed, exitCode: 4))
            let left = carriers(of: order.run)
            #expect(!left.isEmpty)
            for pid in left { kill(pid, SIGKILL) }
            try await eventually("they are gone") { carriers(of: order.run).isEmpty }
            // A process has no environment any more some time before its cgroup is empty.
            try await eventually("its cgroup is gone") { rmdir(hidden) == 0 }
        }
    }
}
