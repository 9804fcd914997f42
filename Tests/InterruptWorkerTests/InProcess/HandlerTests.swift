import Dispatch
import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

/// A call that blocks its thread until the test lets it go.
final class Block: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    func wait() { semaphore.wait() }
    func release() { semaphore.signal() }
}

private struct Broken: Error, CustomStringConvertible {
    var description: String { "broken\u{1B}[31m" }
}

/// A registry of one function, `work`.
///
/// - Parameter begun: signalled when it has begun: an interrupt before that would keep it from it.
private func jobs(begun: Wakeup? = nil, _ handler: @escaping JobRegistry.Handler) throws -> JobRegistry {
    var jobs = JobRegistry()
    try jobs.register("work") { input, scope in
        begun?.signal()
        try await handler(input, scope)
    }
    return jobs
}

@Suite(.timeLimit(.minutes(2))) struct `A job in the worker's process` {
    @Test func `gets its input, runs in a scope of its run, and completes`() async throws {
        let seen = Mutex<[String]>([])
        let test = try WorkerUnderTest(
            jobs: jobs { input, scope in
                #expect(Interrupt.scope === scope)
                seen.withLock { $0.append("\(input) \(scope.run)") }
            }
        )
        let run = try test.submit(handler: "work", "any text")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(seen.withLock { $0 } == ["any text \(run)"])
        #expect(try test.record(run).ending == RunEnding(state: .completed))
        #expect(try test.record(run).process == ProcessIdentity(pid: getpid()))
        #expect(test.transport.writes == [.spawned(run), .end(run, RunEnding(state: .completed)), .left])
    }

    @Test func `is interrupted at its next checkpoint, and the receipt comes before the end`() async throws {
        let begun = Wakeup()
        let test = try WorkerUnderTest(
            jobs: jobs(begun: begun) { _, scope in try await scope.sleep(for: .seconds(1_000)) }
        )
        let run = try test.submit(handler: "work")
        let signal = InterruptSignal(message: "enough")
        try await test.run {
            await begun.wait()
            test.transport.base.interrupt(run, signal)
            await test.events.waitForEnds(1)
        }
        let end = TroubledTransport.Write.end(run, RunEnding(state: .interrupted))
        #expect(test.transport.writes == [.spawned(run), .receipt(run, signal.id), end, .left])
    }

    @Test func `that took notice and returned what it had was interrupted too`() async throws {
        let begun = Wakeup()
        let test = try WorkerUnderTest(
            jobs: jobs(begun: begun) { _, scope in try? await scope.sleep(for: .seconds(1_000)) }
        )
        let run = try test.submit(handler: "work")
        try await test.run {
            await begun.wait()
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .interrupted))
    }

    @Test func `that returned without having noticed is complete, and the interrupt was late`() async throws {
        let (block, begun) = (Block(), Wakeup())
        let test = try WorkerUnderTest(jobs: jobs(begun: begun) { _, _ in block.wait() })
        let run = try test.submit(handler: "work")
        try await test.run {
            await begun.wait()
            test.transport.base.interrupt(run, InterruptSignal())
            try await eventually("it is acknowledged") { try test.record(run).state == .cancelling }
            block.release()
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .completed, isLateInterrupt: true))
    }

    @Test func `that throws has failed, with the text of its error`() async throws {
        let test = try WorkerUnderTest(jobs: jobs { _, _ in throw Broken() })
        let run = try test.submit(handler: "work")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending == RunEnding(state: .failed, error: "broken\\x1b[31m"))
    }

    @Test func `that the worker does not have fails and names both, and is not given back`() async throws {
        let test = try WorkerUnderTest(jobs: jobs { _, _ in })
        let run = try test.submit(handler: "other")
        try await test.run { await test.events.waitForEnds(1) }
        let ending = try #require(try test.record(run).ending)
        #expect(ending.state == .failed && ending.exitCode == 127)
        #expect(ending.error?.contains("worker 'w' has no handler 'other'") == true)
        #expect(!test.transport.writes.contains(.givenBack(run)))
    }

    @Test func `that is refused does not start`() async throws {
        let test = try WorkerUnderTest(jobs: jobs { _, _ in Issue.record("it was started") }) { _ in
            .refused("not here")
        }
        let run = try test.submit(handler: "work")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending == RunEnding(state: .failed, error: "not here"))
    }

    @Test func `whose input cannot be read has failed, with the field`() async throws {
        struct Size: Decodable { var width: Int }
        var jobs = JobRegistry()
        try jobs.register("work", decoding: Size.self) { _, _ in Issue.record("it was started") }
        let test = try WorkerUnderTest(jobs: jobs)
        let run = try test.submit(handler: "work", #"{"width":"secret"}"#)
        try await test.run { await test.events.waitForEnds(1) }
        let error = "the input cannot be read: 'width' has the wrong type, Int is expected"
        #expect(try test.record(run).ending == RunEnding(state: .failed, error: error))
    }

    @Test(arguments: InterruptStage.allCases)
    func `interrupted between claim and start does not start`(stage: InterruptStage) async throws {
        let test = try WorkerUnderTest(gated: true, jobs: jobs { _, _ in Issue.record("it was started") })
        let run = try test.submit(handler: "work")
        try await test.run {
            await test.transport.gateReached.wait()
            test.transport.base.interrupt(run, InterruptSignal(stage: stage))
            test.transport.gate?.signal()
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .interrupted))
    }

    @Test func `ends with its timeout, which is on record`() async throws {
        let test = try WorkerUnderTest(jobs: jobs { _, scope in try await scope.sleep(for: .seconds(1_000)) })
        let run = try test.submit(handler: "work", timeout: .milliseconds(20))
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending?.state == .interrupted)
        #expect(try test.record(run).receipts.map(\.signal.reason) == [.timeout])
    }

    @Test func `may ask itself to end: by a timeout, a checker or a call, which is on record once`() async throws {
        let test = try WorkerUnderTest(
            jobs: jobs { input, scope in
                switch input {
                case "timeout": scope.setTimeout(.milliseconds(10))
                case "checker": scope.setChecker(InterruptChecker("own", every: .milliseconds(1)) { true })
                default: scope.interrupt(reason: .resourceLimit)
                }
                try await scope.sleep(for: .seconds(1_000))
            }
        )
        let runs = try ["timeout", "checker", "call"].map { try test.submit(handler: "work", $0) }
        try await test.run { await test.events.waitForEnds(3) }
        for (run, reason) in zip(runs, [InterruptReason.timeout, .custom, .resourceLimit]) {
            #expect(try test.record(run).ending?.state == .interrupted)
            #expect(try test.record(run).receipts.map(\.signal.reason) == [reason])
        }
    }

    @Test func `is cancelled when its grace period is over, and stage 3 arrives`() async throws {
        let stage = Mutex<InterruptStage?>(nil)
        let begun = Wakeup()
        let test = try WorkerUnderTest(
            grace: .milliseconds(20),
            jobs: jobs(begun: begun) { _, scope in
                do {
                    try await Task.sleep(for: .seconds(1_000))  // hears of nothing but its cancellation
                } catch {
                    stage.withLock { $0 = scope.stage }
                    throw error
                }
            }
        )
        let run = try test.submit(handler: "work")
        try await test.run {
            await begun.wait()
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.waitForEnds(1)
        }
        #expect(stage.withLock { $0 } == .kill)
        #expect(try test.record(run).ending == RunEnding(state: .interrupted))
        #expect(try test.record(run).inbox.stage == .terminate, "nobody asked for more")
    }

    @Test func `runs on its own thread with all that it starts, and on several if it is given them`() async throws {
        var jobs = JobRegistry()
        let block = Block()
        try jobs.register("work", threads: 3) { _, scope in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 { group.addTask { block.wait() } }
                group.addTask { for _ in 0..<2 { block.release() } }  // with one thread less, it would never run
                try await group.waitForAll()
            }
        }
        let test = try WorkerUnderTest(jobs: jobs)
        let run = try test.submit(handler: "work")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending?.state == .completed)
    }
}

@Suite(.timeLimit(.minutes(2))) struct `The progress of a job` {
    @Test func `goes on record, at last what it told last, and before the end`() async throws {
        let test = try WorkerUnderTest(
            jobs: jobs { _, scope in
                for step in 0...10_000 { try scope.report(progress: Double(step) / 10_000, "step \(step)") }
            }
        )
        let run = try test.submit(handler: "work")
        try await test.run { await test.events.waitForEnds(1) }
        let last = try WorkProgress(1, "step 10000")
        #expect(try test.record(run).progress == last)
        let writes = test.transport.writes.filter { $0 != .spawned(run) }  // by another task than the progress
        let ends = [TroubledTransport.Write.progress(run, last), .end(run, RunEnding(state: .completed)), .left]
        #expect(writes.suffix(3) == ends)
        let count = writes.count { if case .progress = $0 { true } else { false } }
        #expect(count < 100, "far fewer than it told")
    }

    @Test func `waits for nobody, and its last is written however long that takes`() async throws {
        let test = try WorkerUnderTest(
            jobs: jobs { _, scope in
                for step in 0...100 { try scope.report(progress: Double(step) / 100) }
            }
        )
        test.transport.faults.withLock { $0.unavailable = ["progress": 3] }
        let run = try test.submit(handler: "work")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).progress == (try WorkProgress(1)))
    }

    @Test func `is a checkpoint, and costs nothing when none is told`() async throws {
        let test = try WorkerUnderTest(
            jobs: jobs { input, scope in
                while input == "tells" { try scope.report(progress: 0.5) }
                try await scope.sleep(for: .seconds(1_000))
            }
        )
        let (telling, silent) = (try test.submit(handler: "work", "tells"), try test.submit(handler: "work"))
        try await test.run {
            try await eventually("one has told something") { try test.record(telling).progress != nil }
            for run in [telling, silent] { test.transport.base.interrupt(run, InterruptSignal()) }
            await test.events.waitForEnds(2)
        }
        #expect(try test.record(telling).ending?.state == .interrupted)
        let told = test.transport.writes.filter { if case .progress = $0 { true } else { false } }
        #expect(told == [.progress(telling, try WorkProgress(0.5))])
    }

    @Test func `that is none ends the job, and nobody is told the number`() async throws {
        let test = try WorkerUnderTest(jobs: jobs { _, scope in try scope.report(progress: 0 / 0.0) })
        let run = try test.submit(handler: "work")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending?.error?.contains("is refused") == true)
        #expect(try test.record(run).progress == nil)
    }
}
