import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(3))) struct `Running a worker` {
    @Test func `300 short commands run once each, never more at once than slots, and end right`() async throws {
        let test = try WorkerUnderTest(slots: 3)
        let codes: [Int32] = [0, 1, 3]
        let runs = try (0..<300).map { try test.submit("sh", "-c", "echo $INTERRUPT_RUN; exit \(codes[$0 % 3])") }
        try await test.run { await test.events.waitForEnds(300) }
        for (index, run) in runs.enumerated() {
            let record = try test.record(run)
            let code = codes[index % 3]
            #expect(record.ending?.bare == RunEnding(state: code == 0 ? .completed : .failed, exitCode: code))
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
        #expect(try test.record(second).ending?.bare == RunEnding(state: .interrupted))
        #expect(test.events.all.pids.count == 1)
        #expect(access("\(test.directory.path)/ran", F_OK) != 0)
    }

    @Test func `admission decides what runs: another command, or none and why`() async throws {
        let test = try WorkerUnderTest { order in
            guard case .command(let words) = order.work else { return .asItIs }
            var order = order
            switch String(decoding: words[0], as: UTF8.self) {
            case "named":
                order.work = .command(["sh", "-c", "echo $NAMED; pwd"].map { Array($0.utf8) })
                (order.directory, order.environment) = ("/", ["NAMED": Array("yes".utf8)])
                return .run(order)
            case "touch": return .refused("not here")
            default: return .asItIs
            }
        }
        let free = try test.submit("echo", "free")
        let named = try test.submit("named")
        let refused = try test.submit("touch", "\(test.directory.path)/ran")
        try await test.run { await test.events.waitForEnds(3) }
        func output(_ run: RunID) throws -> String {
            String(decoding: try test.record(run).output.flatMap(\.bytes), as: UTF8.self)
        }
        #expect(try output(free) == "free\n")
        #expect(try output(named) == "yes\n/\n")
        #expect(try test.record(refused).ending == RunEnding(state: .failed, error: "not here"))
        #expect(test.events.all.pids.count == 2)
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
        #expect(try test.record(run).ending?.bare == RunEnding(state: .interrupted))
        #expect(test.transport.writes.filter { $0 != .left }.first == .receipt(run, signal.id))
        #expect(test.events.all.pids.isEmpty)
        #expect(access("\(test.directory.path)/ran", F_OK) != 0)
    }

    @Test func `in 1,000 races of an end by itself with an interrupt, end and record agree`() async throws {
        let test = try WorkerUnderTest()
        var runs: [RunID] = []
        var accepted: Set<RunID> = []
        try await test.run {
            for index in 0..<1_000 {
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
        print("1,000 races: \(states), accepted \(accepted.count), wrong \(wrong.count)")
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
        let timeout = Duration.seconds(4)  // so that both are up by then
        let test = try WorkerUnderTest(grace: timeout + .seconds(1))
        let first = try test.submit("sleep", "1000", timeout: timeout)
        // Deaf, so that it outlives the first cause until its timeout.
        let second = try test.submit(
            "bash",
            "-c",
            "trap '' TERM; echo; while :; do sleep 0.1; done",
            timeout: timeout
        )
        try await test.run {
            try await eventually("the second job is up") { try !test.record(second).output.isEmpty }
            test.transport.base.interrupt(second, InterruptSignal(reason: .userCancelled))
            await test.events.waitForEnds(2)
        }
        #expect(try test.record(first).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(try test.record(first).inbox.cause?.reason == .timeout)
        let reasons = try test.record(second).receipts.map(\.signal.reason)
        #expect(Set(reasons) == [.userCancelled, .timeout] && reasons.count == 2)
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
        #expect(try test.record(run).order.gracePeriod == .milliseconds(1), "whoever interrupts can read it")
    }
}
