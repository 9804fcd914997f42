import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `A run with limits` {
    /// What interrupted a job that goes on until it is interrupted.
    private func cause(of limits: RunLimits, _ script: String) async throws -> InterruptSignal {
        let test = try WorkerUnderTest()
        let run = try test.submit("bash", "-c", script, limits: limits)
        try await test.run { await test.events.waitForEnds(1) }
        let record = try test.record(run)
        #expect(record.ending?.state == .interrupted)
        #expect(record.receipts.map(\.way) == [.local], "it goes on record as any other interrupt")
        let cause = try #require(record.inbox.cause)
        #expect(cause.reason == .resourceLimit && cause.source == .limit && cause.triggeredBy == "resource_monitor")
        return cause
    }

    @Test func `is interrupted for its memory, that of grandchildren included`() async throws {
        // The shell's child's child holds 64 MiB.
        let hog = #"perl -e '$x = "x" x (64 << 20); sleep 1000'"#
        let message = try #require(try await cause(of: RunLimits(memory: 32 << 20), "(\(hog); true) & wait").message)
        #expect(message.hasPrefix("Memory usage ") && message.hasSuffix("MB exceeds limit 32MB"))
    }

    @Test func `is interrupted for its CPU time, of all its processes together`() async throws {
        let spin = "while :; do :; done"
        let cause = try await cause(of: RunLimits(cpuTime: .milliseconds(200)), "(\(spin)) & (\(spin)) & wait")
        #expect(
            cause.message?.hasPrefix("CPU time ") == true && cause.message?.hasSuffix("s exceeds limit 0.2s") == true
        )
    }

    @Test func `is interrupted for its processes, however deep they are`() async throws {
        let script = "(sleep 1000 & (sleep 1000 & sleep 1000 & wait) & wait) & wait"
        let message = try #require(try await cause(of: RunLimits(processes: 3), script).message)
        // A sample may fall between two forks.
        #expect((4...6).map { "Process count \($0) exceeds limit 3" }.contains(message))
    }

    @Test func `is interrupted for its output, of both streams together`() async throws {
        let script = "head -c 700000 /dev/zero; head -c 700000 /dev/zero >&2; sleep 1000"
        let message = try await cause(of: RunLimits(output: 1 << 20), script).message
        #expect(message == "Output size 2MB exceeds limit 1MB")
    }

    @Test func `has walls a little above them, where the kernel keeps them`() throws {
        let limits = RunLimits(memory: 1 << 30, processes: 100)
        func settings(_ kernel: Set<KernelLimit>) -> [String] {
            limits.settings(in: .cgroup(directory: "/", limits: kernel)).map { "\($0.file) \($0.value)" }
        }
        let memory = ["memory.high 1073741824", "memory.max 1181116006", "memory.oom.group 1"]
        #expect(settings([.memory, .processes]) == memory + ["pids.max 110"])
        #expect(settings([.processes]) == ["pids.max 110"])
        #expect(settings([]).isEmpty)
        #expect(limits.settings(in: .supervisor(why: "none")).isEmpty)
        #expect(RunLimits().settings(in: .cgroup(directory: "/", limits: [.memory, .processes])).isEmpty)
    }

    @Test func `forks no further than its wall in a storm that is over before it is sampled`() async throws {
        var job = try JobUnderTest(
            bash:
                "for i in $(seq 60); do sleep 1000 & done 2>/dev/null; echo \"count=$(jobs -p | wc -l)\"; wait"
        )
        job.order.limits = RunLimits(processes: 10)
        let ending = await job.run()
        let containment = try await job.runner.prepare()
        // On a busy machine the sample may come first, and the storm is never over.
        let count = numbers(after: "count", in: job.seen.text()).first
        // A shell that cannot fork ends.
        if case .cgroup(_, let kernel) = containment, kernel.contains(.processes) {
            #expect(count ?? 0 < 18)
        } else {
            #expect(count ?? 60 == 60 && ending.state == .interrupted)
        }
    }

    @Test func `keeps to them undisturbed, and has the first excess only on record`() async throws {
        let test = try WorkerUnderTest()
        let limits = RunLimits(memory: 1 << 40, cpuTime: .seconds(3_600), processes: 1_000, output: 1 << 30)
        let run = try test.submit("bash", "-c", "echo done", limits: limits)
        let both = try test.submit("bash", "-c", "sleep 1000 & sleep 1000", limits: RunLimits(processes: 1, output: 1))
        try await test.run { await test.events.waitForEnds(2) }
        #expect(try test.record(run).ending?.bare == RunEnding(state: .completed, exitCode: 0))
        #expect(try test.record(run).receipts.isEmpty)
        #expect(try test.record(both).inbox.cause?.message?.hasPrefix("Process count ") == true)
    }

    /// Without a cgroup the hook may have the same supervisor.
    @Test(arguments: [true, false])
    func `is not measured by what runs after it`(usesCgroups: Bool) async throws {
        var job = try JobUnderTest(bash: "true")
        job.usesCgroups = usesCgroups
        job.order.limits = RunLimits(processes: 2)
        job.order.hooks = RunHooks(onEnd: "for i in 1 2 3 4 5; do sleep 2.5 & done; wait")
        let (order, runner) = (job.order, job.runner)
        let (ending, cause) = await withInterruptScope(run: order.run) { scope in
            (await runner.run(order, scope: scope) { _ in }, scope.cause)
        }
        #expect(ending?.state == .completed && ending?.hookErrors == [])
        #expect(cause == nil)
    }

    @Test func `has no checker when it has no limits`() async {
        let unasked: @Sendable () -> Int64 = {
            Issue.record("it was asked")
            return 0
        }
        await withInterruptScope { scope in
            scope.enforce(RunLimits(), on: .processTree(getpid()))
            scope.enforce(RunLimits(), onOutput: unasked)
            scope.enforce(RunLimits(memory: 1), onOutput: unasked)
            await withDetachedInterruptScope(timeout: .milliseconds(20)) { later in
                _ = await later.signals.first { _ in true }
            }
            #expect(!scope.isInterrupted)
        }
    }

    @Test func `may have its processes named by somebody else, a cgroup for instance`() async throws {
        let job = try JobUnderTest("sleep", "1000")
        let ending = await job.run { scope, _ in
            let own = getpid()
            scope.setChecker(
                .resourceLimits(ResourceLimits(processes: 1), of: .members(name: "a group") { [own, getppid()] })
            )
        }
        #expect(ending.state == .interrupted)
    }
}
