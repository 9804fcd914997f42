import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite struct `Worker state` {
    private let run = RunID(rawValue: "a")

    @Test func `an offer that comes twice is taken once`() {
        var state = WorkerState(slots: 2)
        #expect(state.take(run) == .taken)
        #expect(state.take(run) == .held)
        #expect(state.freeSlots == 1)
        state.release(run)
        #expect(state.take(run) == .taken)
    }

    @Test func `from stage 1 on nothing is taken, and the stage never falls`() {
        var state = WorkerState(slots: 2)
        #expect(state.take(run) == .taken)
        #expect(state.escalate(to: .terminate) == .raised(from: nil))
        #expect(state.escalate(to: .drain) == .none)
        #expect(state.escalate(to: .terminate) == .none)
        #expect(state.take(RunID(rawValue: "b")) == .refused)
        #expect(state.take(run) == .held)
        #expect(state.freeSlots == 0)
        #expect(state.escalate(to: .kill) == .raised(from: .terminate))
    }
}

@Suite(.timeLimit(.minutes(3))) struct `Running a worker` {
    @Test func `300 short commands run once each, never more at once than slots, and end right`() async throws {
        let test = try WorkerUnderTest(slots: 3)
        let codes: [Int32] = [0, 1, 3]
        let runs = try (0..<300).map { try test.submit("sh", "-c", "echo $INTERRUPT_RUN; exit \(codes[$0 % 3])") }
        try await test.run { await test.events.waitForEnds(300) }
        for (index, run) in runs.enumerated() {
            let record = try test.record(run)
            let code = codes[index % 3]
            #expect(record.ending == RunEnding(state: code == 0 ? .completed : .failed, exitCode: code))
            #expect(String(decoding: record.output.flatMap(\.bytes), as: UTF8.self) == "\(run)\n")
        }
        #expect(test.events.all.pids.count == 300)
        #expect(test.events.all.mostAtOnce <= 3)
        let ends = test.transport.writes.count { if case .end = $0 { true } else { false } }
        #expect(ends == 300)
    }

    @Test func `a run interrupted while queued never starts`() async throws {
        let test = try WorkerUnderTest(slots: 1)
        let first = try test.submit("sleep", "1000")
        let second = try test.submit("touch", "\(test.directory.path)/ran")
        try await test.run {
            await test.events.waitForStarts(1)
            #expect(test.transport.base.interrupt(second, InterruptSignal()) == .first)
            #expect(test.transport.base.interrupt(first, InterruptSignal()) == .first)
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(first).ending?.state == .interrupted)
        #expect(try test.record(second).ending == RunEnding(state: .interrupted))
        #expect(test.events.all.pids.count == 1)
        #expect(access("\(test.directory.path)/ran", F_OK) != 0)
    }

    @Test(arguments: InterruptStage.allCases)
    func `one interrupted between claim and spawn is not spawned and not lost`(stage: InterruptStage) async throws {
        let test = try WorkerUnderTest(gated: true)
        let run = try test.submit("touch", "\(test.directory.path)/ran")
        let signal = InterruptSignal(stage: stage, message: "now")
        try await test.run {
            await test.transport.gateReached.wait()
            #expect(test.transport.base.interrupt(run, signal) == .first)
            test.transport.gate?.signal()
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .interrupted))
        #expect(test.transport.writes.filter { $0 != .left }.first == .receipt(run, signal.id))
        #expect(test.events.all.pids.isEmpty)
        #expect(access("\(test.directory.path)/ran", F_OK) != 0)
    }

    @Test func `in 300 races of an end by itself with an interrupt, end and record agree`() async throws {
        let test = try WorkerUnderTest()
        var runs: [RunID] = []
        var accepted: Set<RunID> = []
        try await test.run {
            for index in 0..<300 {
                let run = try test.submit("sh", "-c", "exit \(index % 2 * 3)")
                runs.append(run)
                await test.events.waitForStarts(index + 1)
                // About as long as the shell lives, so that both orders happen.
                let instant = ContinuousClock.now + .microseconds(Int.random(in: 0...2_500))
                try await Task.sleep(until: instant)
                if test.transport.base.interrupt(run, InterruptSignal()) != nil { accepted.insert(run) }
                await test.events.waitForEnds(index + 1)
            }
        }
        var wrong: [String] = []
        var states: [RunState: Int] = [:]
        for (index, run) in runs.enumerated() {
            let ending = try #require(try test.record(run).ending)
            let wasAccepted = accepted.contains(run)
            let code = Int32(index % 2 * 3)
            states[ending.state, default: 0] += 1
            let isRight =
                switch ending.state {
                case .completed: code == 0 && ending.exitCode == 0 && ending.isLateInterrupt == wasAccepted
                case .failed: code == 3 && ending.exitCode == 3 && ending.isLateInterrupt == wasAccepted
                case .interrupted:
                    wasAccepted && ending.exitCode == nil && !ending.isLateInterrupt
                        && (ending.termSignal == nil || ending.termSignal == SIGTERM)
                case .queued, .running, .paused, .cancelling, .lost: false
                }
            if !isRight { wrong.append("\(code) accepted=\(wasAccepted): \(ending)") }
        }
        #expect(wrong.isEmpty)
        print("300 races: \(states), accepted \(accepted.count), wrong \(wrong.count)")
    }

    @Test func `receipts come before the end, one for each request, however often and in whichever order it comes`()
        async throws
    {
        let test = try WorkerUnderTest()
        let run = try test.submit("bash", "-c", "trap '' TERM; echo; while :; do sleep 1000; done")
        let ids = ["soft", "late", "hard"].map(RequestID.init)
        try await test.run {
            try await eventually("the trap is set") { try !test.record(run).output.isEmpty }
            let signals = [
                InterruptSignal(id: ids[0]), InterruptSignal(id: ids[0]), InterruptSignal(id: ids[1], stage: .drain),
                InterruptSignal(id: ids[2], stage: .kill), InterruptSignal(id: ids[0]), InterruptSignal(id: ids[1]),
                InterruptSignal(id: ids[2], stage: .kill),
            ]
            for signal in signals { test.transport.base.interrupt(run, signal) }
            await test.events.waitForEnds(1)
        }
        // When the process goes on record does not matter here.
        let writes = test.transport.writes.filter { $0 != .spawned(run) && $0 != .left }
        #expect(
            writes == [
                .receipt(run, ids[0]), .receipt(run, ids[1]), .receipt(run, ids[2]),
                .end(run, RunEnding(state: .interrupted, termSignal: SIGKILL)),
            ]
        )
    }

    @Test func `a timeout ends a run and is on record; one that comes second is recorded as late`() async throws {
        let test = try WorkerUnderTest(grace: .milliseconds(1_500))
        let first = try test.submit("sleep", "1000", timeout: .milliseconds(20))
        // Deaf, so that it outlives the first cause until its timeout.
        let second = try test.submit(
            "bash",
            "-c",
            "trap '' TERM; echo; while :; do sleep 0.1; done",
            timeout: .seconds(1)
        )
        try await test.run {
            try await eventually("the second job is up") { try !test.record(second).output.isEmpty }
            test.transport.base.interrupt(second, InterruptSignal(reason: .userCancelled))
            await test.events.waitForEnds(2)
        }
        #expect(try test.record(first).ending == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(try test.record(first).inbox.cause?.reason == .timeout)
        let reasons = try test.record(second).receipts.map(\.signal.reason)
        #expect(Set(reasons) == [.userCancelled, .timeout] && reasons.count == 2)
    }

    @Test func `a refused command is a failure with the rule`() async throws {
        let test = try WorkerUnderTest { _ in "not here" }
        let run = try test.submit("true")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).ending == RunEnding(state: .failed, error: "not here"))
        #expect(test.events.all.pids.isEmpty)
    }

    @Test func `a grace period that is set later holds for runs that start then`() async throws {
        let test = try WorkerUnderTest(grace: .longestAccepted)
        test.worker.setGracePeriod(.milliseconds(1))
        let run = try test.submit("bash", "-c", "trap '' TERM; while :; do sleep 1000; done")
        try await test.run {
            await test.events.waitForStarts(1)
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending?.state == .interrupted)
    }
}

@Suite(.timeLimit(.minutes(2))) struct `A worker's own stages` {
    private let deaf = "trap '' TERM; echo ready; while :; do sleep 1000; done"

    private func isReady(_ test: WorkerUnderTest, _ run: RunID) async throws {
        try await eventually("the job is up") { try !test.record(run).output.isEmpty }
    }

    @Test func `stage 1 takes nothing new, lets what runs finish, and leaves the queue as it is`() async throws {
        let test = try WorkerUnderTest(slots: 1)
        let first = try test.submit("sh", "-c", "echo ready; read line < \(test.directory.path)/fifo")
        #expect(mkfifo("\(test.directory.path)/fifo", 0o600) == 0)
        let second = try test.submit("true")
        try await test.run {
            try await isReady(test, first)
            test.worker.interrupt(.drain, reason: .userCancelled)
            let fifo = open("\(test.directory.path)/fifo", O_WRONLY)
            write(fifo, "x\n", 2)
            close(fifo)
        }
        #expect(try test.record(first).ending?.state == .completed)
        #expect(try test.record(second).state == .queued)
        #expect(test.events.all.stages == [.drain])
        #expect(test.transport.writes.last == .left)
    }

    @Test func `an offer that arrives with the drain is given back`() async throws {
        for _ in 0..<200 {
            let test = try WorkerUnderTest()
            var runs: [RunID] = []
            try await test.run {
                await test.events.waitForEntry()
                let interrupting = Task { test.worker.interrupt(.drain, reason: .userCancelled) }
                for _ in 0..<3 { runs.append(try test.submit("true")) }
                await interrupting.value
            }
            // Either it ran or was claimed too late to begin, or it waits for the next worker.
            var waiting: Set<RunID> = []
            for run in runs {
                let record = try test.record(run)
                if record.state == .queued { waiting.insert(run) } else { #expect(record.state.isEnd) }
            }
            if !waiting.isEmpty {
                let offers = try await test.transport.base.offers(limit: 10)
                #expect(Set(offers.map(\.run)) == waiting)
            }
        }
    }

    @Test func `stage 2 ends everything after its grace period, stage 3 at once, and the escalation is told in order`()
        async throws
    {
        let test = try WorkerUnderTest(grace: .longestAccepted)
        let runs = try (0..<2).map { _ in try test.submit("bash", "-c", deaf) }
        try await test.run {
            for run in runs { try await isReady(test, run) }
            test.worker.interrupt(.drain, reason: .userCancelled)
            test.worker.interrupt(.terminate, reason: .userCancelled)
            test.worker.interrupt(.drain, reason: .userCancelled)
            test.worker.interrupt(.kill, reason: .userCancelled)
        }
        for run in runs {
            #expect(try test.record(run).ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
            #expect(try test.record(run).receipts.map(\.way) == [.local, .local, .local])
        }
        #expect(test.events.all.stages == [.drain, .terminate, .kill])
    }

    @Test func `stage 2 forces what is deaf when its grace period is over`() async throws {
        let test = try WorkerUnderTest(grace: .longestAccepted)
        let run = try test.submit("bash", "-c", deaf)
        try await test.run {
            try await isReady(test, run)
            test.worker.interrupt(.terminate, reason: .systemShutdown, gracePeriod: .milliseconds(20))
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
    }

    @Test func `cancelling its task is stage 3, and leaves no child and no run without an end`() async throws {
        let test = try WorkerUnderTest(grace: .longestAccepted)
        let run = try test.submit("bash", "-c", deaf)
        let running = Task { try await test.worker.run() }
        try await isReady(test, run)
        running.cancel()
        try await running.value
        #expect(try test.record(run).ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
        #expect(try test.record(run).inbox.cause?.reason == .systemShutdown)
        for pid in test.events.all.pids { #expect(!isRunning(pid)) }
    }
}

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
        #expect(try test.record(other).ending == RunEnding(state: .failed, exitCode: 3))
        let ending = RunEnding(state: .interrupted, termSignal: SIGTERM)
        #expect(try test.record(interrupted).ending == ending)
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
        #expect(try test.record(run).ending == RunEnding(state: .completed, exitCode: 0))
        #expect(test.events.all.pids.count == 1)
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
