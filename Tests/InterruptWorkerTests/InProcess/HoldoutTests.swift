import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import Synchronization
import Testing

@testable import InterruptWorker

/// Counts the jobs that have begun; a test waits here for them.
final class BegunCount: Sendable {
    private let count = Mutex(0)
    private let change = Wakeup()

    func increase() {
        count.withLock { $0 += 1 }
        change.signal()
    }

    func wait(for wanted: Int) async {
        while count.withLock({ $0 }) < wanted { await change.wait() }
    }
}

@Suite(.timeLimit(.minutes(2))) struct `A job that cannot be interrupted yet` {
    /// `block` blocks its thread until it is let go, after it has counted itself; `sleep` does not.
    private func makeTest(
        _ block: Block,
        begun: BegunCount,
        grace: Duration = .milliseconds(20),
        transport: TroubledTransport? = nil
    ) throws -> WorkerUnderTest {
        var jobs = JobRegistry()
        try jobs.register("block") { _, scope in
            try scope.checkpoint("here")
            begun.increase()
            block.wait()
            try scope.checkpoint("after it")
        }
        try jobs.register("load") { _, scope in
            await scope.uninterruptible("load the model") {
                begun.increase()
                block.wait()
            }
            try scope.checkpoint("after it")
        }
        try jobs.register("sleep") { _, scope in try await scope.sleep(for: .seconds(1_000)) }
        return try WorkerUnderTest(
            slots: 16,
            grace: grace,
            jobs: jobs,
            giveUpAfter: .milliseconds(50),
            transport: transport
        )
    }

    @Test func `is said to, keeps its run and its slot, and ends when it can`() async throws {
        let (block, begun) = (Block(), BegunCount())
        let test = try makeTest(block, begun: begun)
        let run = try test.submit(handler: "block")
        try await test.run {
            await begun.wait(for: 1)
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.wait { !$0.holdouts.isEmpty }
            try await eventually("it is on record") { try test.record(run).holdout != nil }
            #expect(try test.record(run).state == .cancelling)
            #expect(test.worker.heldCount == 1)
            let holdout = try #require(try test.record(run).holdout)
            #expect(holdout.lastCheckpoint == "here" && holdout.section == nil)
            block.release()
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .interrupted))
        #expect(test.events.all.holdouts.count == 1)
    }

    @Test func `is said to at once in a section that says so, with its name`() async throws {
        let (block, begun) = (Block(), BegunCount())
        let test = try makeTest(block, begun: begun, grace: .longestAccepted)
        let run = try test.submit(handler: "load")
        try await test.run {
            await begun.wait(for: 1)
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.wait { $0.holdouts.first?.section == "load the model" }
            block.release()
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .interrupted))
    }

    @Test func `delays no other one: more of them than there are processors, and an interrupt arrives`() async throws {
        let (block, begun) = (Block(), BegunCount())
        let test = try makeTest(block, begun: begun, grace: .longestAccepted)
        let count = 2 * sysconf(Int32(_SC_NPROCESSORS_ONLN)) + 2
        let blocked = try (0..<min(count, 15)).map { _ in try test.submit(handler: "block") }
        let other = try test.submit(handler: "sleep")
        try await test.run {
            await begun.wait(for: blocked.count)
            test.transport.base.interrupt(other, InterruptSignal())
            await test.events.waitForEnds(1)
            #expect(test.events.all.endings == [RunEnding(state: .interrupted)])
            try await eventually("only the others are held") { test.worker.heldCount == blocked.count }
            for _ in blocked { block.release() }
            await test.events.waitForEnds(blocked.count + 1)
        }
    }

    @Test func `does not keep the worker at stage 3, and its next instance does not call it gone while it lives`()
        async throws
    {
        let (block, begun) = (Block(), BegunCount())
        let test = try makeTest(block, begun: begun)
        let run = try test.submit(handler: "block")
        let running = Task { try await test.worker.run() }
        await begun.wait(for: 1)
        test.worker.interrupt(.kill, reason: .systemShutdown)
        try await running.value
        #expect(test.worker.heldCount == 0)
        #expect(try test.record(run).state == .cancelling)
        #expect(try test.record(run).ending == nil)
        #expect(test.events.all.holdouts.count == 1)
        #expect(test.transport.writes.last == .left)

        let next = try makeTest(block, begun: begun, transport: test.transport)
        try await next.run { await next.events.waitForEntry() }
        #expect(try test.record(run).state == .cancelling, "this process has it")
        block.release()
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A job that an earlier instance left in its process` {
    @Test func `is lost when that process has ended, and not before`() async throws {
        let test = try WorkerUnderTest()
        let (gone, alive, unknown) = (RunID(rawValue: "gone"), RunID(rawValue: "alive"), RunID(rawValue: "unknown"))
        _ = try test.submit("true")
        _ = try await Subprocess.run(
            .name("sleep"),
            arguments: ["1000"],
            input: .none,
            output: .discarded,
            error: .discarded
        ) { execution in
            let process = try #require(ProcessIdentity(pid: execution.processIdentifier.value))
            var earlier = process
            earlier.start -= 1
            let left = [
                LeftRun(run: gone, process: earlier, isInProcess: true),
                LeftRun(run: alive, process: process, isInProcess: true),
                LeftRun(run: unknown, process: nil, isInProcess: true),
            ]
            test.transport.faults.withLock { $0.left = left }
            try await test.run {
                await test.events.waitForEnds(1)  // it has looked at what was left, and works
                let lost = test.transport.writes.filter { if case .lost = $0 { true } else { false } }
                #expect(lost == [.lost(gone), .lost(unknown)])
                #expect(isRunning(process.pid), "it is never signalled")
                try execution.send(signal: .kill)
                try await eventually("its run is lost too") { test.transport.writes.contains(.lost(alive)) }
            }
        }
    }
}
