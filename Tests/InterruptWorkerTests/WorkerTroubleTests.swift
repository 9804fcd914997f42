import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `Worker in trouble` {
    @Test(arguments: ["enter", "offers", "start", "spawned", "append", "acknowledge", "end"])
    func `a transport out of reach for a while changes no outcome`(call: String) async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.unavailable = [call: 3] }
        let interrupted = try test.submit("sh", "-c", "echo ready; exec sleep 1000")
        let other = try test.submit("sh", "-c", "exit 3")
        let signal = InterruptSignal()
        try await test.run {
            await test.events.waitForStarts(2)
            test.transport.base.interrupt(interrupted, signal)
            await test.events.waitForEnds(2)
        }
        #expect(try test.record(other).ending?.bare == RunEnding(state: .failed, exitCode: 3))
        let ending = RunEnding(state: .interrupted, termSignal: SIGTERM)
        #expect(try test.record(interrupted).ending?.bare == ending)
        #expect(test.transport.writes.filter { $0 == .end(interrupted, ending) }.count == 1)
        #expect(test.transport.writes.filter { $0 == .receipt(interrupted, signal.id) }.count == 1)
        let process = try test.record(interrupted).process
        #expect(process != nil)
    }

    @Test func `a claim whose reply is lost is asked for again and runs once`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.lostStarts = 2 }
        let run = try test.submit("sh", "-c", "echo x >> \(test.directory.path)/ran")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending?.bare == RunEnding(state: .completed, exitCode: 0))
        #expect(test.events.all.pids.count == 1)
    }

    @Test func `a leased run that is taken over while it is being claimed does not begin, though a heartbeat is heard`()
        async throws
    {
        let test = try WorkerUnderTest(gated: true)
        // At the time of the claim none was heard, so that it has no fence.
        test.transport.faults.withLock { $0.unavailable = ["heartbeat": .max] }
        let run = try test.submit("true", retries: 1)
        try await test.run {
            await test.transport.gateReached.wait()
            test.transport.faults.withLock { $0.unavailable = [:] }
            try await test.transport.base.end(run, as: RunEnding(state: .lost))
            test.transport.gate?.signal()
            await test.transport.gateReached.wait()  // it is claimed again
            test.transport.gate?.signal()
            await test.events.waitForEnds(1)
        }
        #expect(test.events.all.pids.isEmpty)
        #expect(try test.record(run).ending?.state == .lost)
    }

    @Test func `a leased run whose claim was answered late begins with a new fence`() async throws {
        let test = try WorkerUnderTest(lease: .seconds(30), gated: true)
        test.transport.faults.withLock { $0.unavailable = ["heartbeat": .max] }
        // The last one that was heard is so old that the fence is near.
        test.worker.state.withLock { $0.lease.renewed(at: BootTime.now.advanced(by: .seconds(-15))) }
        _ = try test.submit("true", retries: 1)
        try await test.run {
            await test.transport.gateReached.wait()
            test.transport.faults.withLock { $0.unavailable = [:] }
            test.transport.gate?.signal()
            await test.transport.gateReached.wait()  // it is claimed again
            test.transport.gate?.signal()
            await test.events.waitForEnds(1)
        }
        #expect(test.events.all.pids.count == 1)
        #expect(test.events.all.endings.map(\.state) == [.completed])
    }

    @Test(arguments: ["heartbeat", "start"])
    func `a leased run begins when it can be asked again whether it is still this worker's`(call: String) async throws {
        let test = try WorkerUnderTest(gated: true)
        test.transport.faults.withLock { $0.unavailable = ["heartbeat": .max] }  // it is claimed without a fence
        let run = try test.submit("true", retries: 1)
        try await test.run {
            await test.transport.gateReached.wait()
            test.transport.faults.withLock { $0.unavailable = [call: 3] }
            test.transport.gate?.signal()
            await test.transport.gateReached.wait()
            test.transport.gate?.signal()
            await test.events.waitForEnds(1)
        }
        #expect(test.events.all.pids.count == 1)
        #expect(try test.record(run).ending?.state == .completed)
    }

    @Test func `a leased run that waits to be asked for says so once, and is interrupted`() async throws {
        let log = SeenLog()
        let test = try WorkerUnderTest(logger: log.logger)
        test.transport.faults.withLock { $0.unavailable = ["heartbeat": .max] }
        let run = try test.submit("true", retries: 1)
        try await test.run {
            try await eventually("it waits") { !log.lines.isEmpty }
            test.transport.faults.withLock { $0.unavailable = ["heartbeat": .max] }  // counted anew
            try await eventually("it has waited twice") {
                test.transport.faults.withLock { .max - $0.unavailable["heartbeat"]! } > 3
            }
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.waitForEnds(1)
        }
        #expect(test.events.all.pids.isEmpty)
        #expect(try test.record(run).ending?.state == .interrupted)
        #expect(log.lines.filter { $0.hasPrefix("a leased run waits") }.count == 1, "\(log.lines)")
    }

    @Test func `a run whose claim is refused goes back to its queue, and runs when it is offered again`() async throws {
        let test = try WorkerUnderTest(slots: 1)
        test.transport.faults.withLock { $0.refused = ["start": 2] }
        let run = try test.submit("true")
        try await test.run {
            try await eventually("it has run") { try test.record(run).ending?.state == .completed }
        }
        #expect(test.transport.writes.filter { $0 == .givenBack(run) }.count == 2)
    }

    @Test func `a claim whose reply is lost during the drain has an end all the same`() async throws {
        let test = try WorkerUnderTest(gated: true)
        test.transport.faults.withLock { $0.lostStarts = 1 }
        let run = try test.submit("true")
        try await test.run {
            await test.transport.gateReached.wait()
            test.worker.interrupt(.drain, reason: .userCancelled)
            test.transport.gate?.signal()
            await test.transport.gateReached.wait()
            test.transport.gate?.signal()
        }
        #expect(try test.record(run).ending?.state == .completed)
    }

    @Test func `an offer that could not be claimed before the worker was told to stop stays in its queue`() async throws
    {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.unavailable = ["start": .max, "giveBack": 2] }
        let run = try test.submit("true")
        try await test.run {
            try await eventually("it was tried") { test.transport.faults.withLock { $0.unavailable["start"] != .max } }
            test.worker.interrupt(.terminate, reason: .userCancelled)
            try await eventually("it was tried to give it back") {
                test.transport.faults.withLock { $0.unavailable["giveBack"] != 2 }
            }
            test.transport.faults.withLock { $0.unavailable["start"] = 0 }
        }
        #expect(test.events.all.pids.isEmpty)
        #expect(try test.record(run).state == .queued)
    }

    @Test func `nothing is claimed while there is no connection`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.isCutOff = true }
        let run = try test.submit("true")
        try await test.run {
            try await eventually("it is offered") { test.worker.heldCount == 1 }
            test.worker.interrupt(.drain, reason: .userCancelled)
        }
        #expect(try test.record(run).state == .queued)
        #expect(test.transport.writes.contains(.givenBack(run)))
    }

    @Test func `an offer that could not be given back is not claimed at stage 3`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.unavailable = ["start": .max, "giveBack": .max] }
        let run = try test.submit("true")
        try await test.run {
            try await eventually("it was tried") { test.transport.faults.withLock { $0.unavailable["start"] != .max } }
            test.worker.interrupt(.drain, reason: .userCancelled)
            try await eventually("it was tried to give it back") {
                test.transport.faults.withLock { $0.unavailable["giveBack"] != .max }
            }
            test.transport.faults.withLock { $0.unavailable["start"] = 0 }
            test.worker.interrupt(.kill, reason: .userCancelled)
        }
        #expect(test.events.all.pids.isEmpty)
        #expect(try test.record(run).state == .queued)
    }

    @Test func `an offer that comes twice starts once`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.repeatsOffers = true }
        let runs = try (0..<20).map { _ in try test.submit("true") }
        try await test.run { await test.events.waitForEnds(20) }
        for run in runs { #expect(try test.record(run).ending?.state == .completed) }
        #expect(test.events.all.pids.count == 20)
    }

    @Test func `at stage 3 an unreachable transport is not waited for`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.unavailable = ["end": .max, "acknowledge": .max] }
        _ = try test.submit("sleep", "1000")
        try await test.run {
            await test.events.waitForStarts(1)
            test.worker.interrupt(.kill, reason: .userCancelled)
        }
        #expect(test.events.all.endings.map(\.termSignal) == [SIGKILL])
    }

    @Test func `a name in use is an error that names the holder`() async throws {
        let test = try WorkerUnderTest()
        let holder = NameHolder(instance: "x", host: "there", process: try #require(ProcessIdentity(pid: getpid())))
        test.transport.faults.withLock { $0.holder = holder }
        let error = await #expect(throws: WorkerError.self) { try await test.worker.run() }
        #expect(error == .nameInUse(holder))
        #expect(error?.description.contains("process \(getpid()) on host there") == true)
    }

    @Test func `a holder that is proven dead loses its name`() async throws {
        let test = try WorkerUnderTest()
        let process = try #require(ProcessIdentity(pid: getpid()))
        let dead = ProcessIdentity(boot: process.boot, pid: process.pid, start: process.start - 1)
        test.transport.faults.withLock { $0.holder = NameHolder(instance: "x", host: "here", process: dead) }
        let run = try test.submit("true")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).state == .completed)
    }

    @Test func `a worker that was replaced kills everything and says so`() async throws {
        let test = try WorkerUnderTest(lease: .milliseconds(30))
        _ = try test.submit("sh", "-c", "trap '' TERM; while :; do sleep 1000; done")
        let running = Task { try await test.worker.run() }
        await test.events.waitForStarts(1)
        test.transport.faults.withLock { $0.isReplaced = true }
        let error = await #expect(throws: WorkerError.self) { try await running.value }
        #expect(error == .replaced)
        #expect(test.events.all.endings.map(\.termSignal) == [SIGKILL])
        #expect(!test.transport.writes.contains(.left))
        for pid in test.events.all.pids { #expect(!isRunning(pid)) }
    }

    @Test func `a worker interrupted before it has its name returns`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.unavailable = ["enter": .max] }
        let running = Task { try await test.worker.run() }
        test.worker.interrupt(.drain, reason: .userCancelled)
        try await running.value
    }
}
