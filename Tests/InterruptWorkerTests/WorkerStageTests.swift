import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

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

    @Test func `a run that goes on after stage 1 is reported once, and none that was asked for more`() async throws {
        let test = try WorkerUnderTest(drainWarning: .milliseconds(50))
        let drained = try test.submit("bash", "-c", deaf)
        let terminated = try test.submit("bash", "-c", deaf)
        @Sendable func reports(_ events: [WorkerEvent]) -> [RunID] {
            events.compactMap { if case .draining(let order, .milliseconds(50)) = $0 { order.run } else { nil } }
        }
        try await test.run {
            for run in [drained, terminated] { try await isReady(test, run) }
            test.transport.base.interrupt(terminated, InterruptSignal(stage: .terminate))
            for _ in 0..<2 { test.transport.base.interrupt(drained, InterruptSignal(stage: .drain)) }
            await test.events.wait { !reports($0).isEmpty }
            test.worker.interrupt(.kill, reason: .userCancelled)
        }
        #expect(reports(test.events.all) == [drained])
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

    @Test func `stage 3 ends everything at once, whatever grace period it has, and the escalation is told in order`()
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
            await test.events.waitForEnds(2)
        }
        for run in runs {
            #expect(try test.record(run).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGKILL))
            #expect(try test.record(run).receipts.map(\.way) == [.local, .local, .local])
        }
        #expect(test.events.all.stages == [.drain, .terminate, .kill])
    }

    @Test func `stage 2 ends everything, and forces what is deaf when its grace period is over, not before`()
        async throws
    {
        let test = try WorkerUnderTest(grace: .longestAccepted)
        let listening = try test.submit("bash", "-c", "echo ready; exec sleep 1000")
        let runs = try (0..<2).map { _ in try test.submit("bash", "-c", deaf) }
        try await test.run {
            for run in runs + [listening] { try await isReady(test, run) }
            let start = ContinuousClock.now
            test.worker.interrupt(.terminate, reason: .systemShutdown, gracePeriod: .milliseconds(500))
            await test.events.waitForEnds(2)
            #expect(.now - start >= .milliseconds(500), "two of three are deaf")
            await test.events.waitForEnds(3)
        }
        #expect(try test.record(listening).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGTERM))
        for run in runs {
            #expect(try test.record(run).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGKILL))
        }
    }

    @Test func `cancelling its task is stage 3, and leaves no child and no run without an end`() async throws {
        let test = try WorkerUnderTest(grace: .longestAccepted)
        let run = try test.submit("bash", "-c", deaf)
        let running = Task { try await test.worker.run() }
        try await isReady(test, run)
        running.cancel()
        try await running.value
        #expect(try test.record(run).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGKILL))
        #expect(try test.record(run).inbox.cause?.reason == .systemShutdown)
        for pid in test.events.all.pids { #expect(!isRunning(pid)) }
    }
}
