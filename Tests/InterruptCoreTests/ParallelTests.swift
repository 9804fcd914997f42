import Synchronization
import Testing

@testable import InterruptCore

@Suite struct `Plan of many items` {
    private func steps(_ plan: inout ParallelPlan, at stage: InterruptStage?, _ count: Int) -> [ParallelPlan.Step] {
        (0..<count).map { _ in plan.step(at: stage) }
    }

    @Test func `starts as many as there are workers, then one for each that ends`() {
        var plan = ParallelPlan(count: 3, workers: 2)
        var taken = [steps(&plan, at: nil, 3)]
        for _ in 0..<3 {
            plan.itemEnded()
            taken.append(steps(&plan, at: nil, 2))
        }
        #expect(
            taken == [[.submit(0), .submit(1), .wait], [.submit(2), .wait], [.wait, .wait], [.finish, .finish]]
        )
    }

    @Test func `stage 1 starts nothing more and says so once, stage 2 waits for nobody, stage 3 leaves`() {
        var plan = ParallelPlan(count: 3, workers: 1)
        var taken = [steps(&plan, at: nil, 2), steps(&plan, at: .drain, 3)]
        var drained = plan
        drained.itemEnded()
        taken += [steps(&drained, at: .drain, 1), steps(&plan, at: .terminate, 1), steps(&plan, at: .kill, 1)]
        #expect(
            taken == [[.submit(0), .wait], [.stopSubmitting(at: 1), .wait, .wait], [.finish], [.finish], [.leave]]
        )
    }

    @Test func `nothing at all is finished at once, also when interrupted before`() {
        var nothing = ParallelPlan(count: 0, workers: 1)
        var early = ParallelPlan(count: 2, workers: 1)
        let taken = [steps(&nothing, at: nil, 1), steps(&early, at: .drain, 2)]
        #expect(taken == [[.finish], [.stopSubmitting(at: 0), .finish]])
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Many items at a time` {
    private struct Broken: Error {}

    /// Each outcome in one word.
    private func words<Value>(_ results: PartialResults<Value>) -> [String] {
        results.outcomes.map { outcome in
            switch outcome {
            case .completed(let value): "\(value)"
            case .failed: "failed"
            case .cancelled: "cancelled"
            case .terminated: "terminated"
            case .stillRunning: "running"
            }
        }
    }

    @Test(arguments: [1, 2, 8]) func `all values come in the order of the items`(workers: Int) async throws {
        let most = Mutex((now: 0, most: 0))
        let results = try await ParallelRunner(workers: workers).run(Array(0..<100)) { item in
            most.withLock { most in
                most.now += 1
                most.most = max(most.most, most.now)
            }
            await Task.yield()
            most.withLock { $0.now -= 1 }
            return item * 2
        }
        #expect(results.values.map(\.value) == (0..<100).map { $0 * 2 } && results.isWhole)
        #expect(most.withLock { $0.most } <= workers)
    }

    @Test func `one that fails stops no other`() async throws {
        let results = try await ParallelRunner(workers: 2).run(Array(0..<6)) { item in
            if item % 2 == 1 { throw Broken() }
            return item
        }
        #expect(words(results) == ["0", "failed", "2", "failed", "4", "failed"] && results.isWhole)
    }

    @Test func `stage 1 lets those that run finish, and says where it stopped`() async throws {
        let (results, events) = try await withInterruptScope { scope in
            let events = scope.events
            let results = try await ParallelRunner(workers: 2).run(Array(0..<10)) { item in
                if item == 3 { scope.interrupt(stage: .drain) }
                // Its own scope hears of it last.
                while item > 3, !Interrupt.isInterrupted { await Task.yield() }
                return item
            }
            #expect(scope.stage == .drain)
            return (results, events)
        }
        let started = results.values.count
        #expect((4...5).contains(started))
        #expect(words(results) == (0..<10).map { $0 < started ? "\($0)" : "cancelled" })
        var notices: [String] = []
        for await case .notice(let text) in events { notices.append(text) }
        #expect(
            notices == [
                "Stopping task submission at task \(started + 1)/10",
                "Returning partial results: \(started)/10 tasks completed (\(started * 10).0%)",
            ]
        )
    }

    @Test func `stage 2 ends those that run, keeps what came, and says what is missing and why`() async throws {
        let events = Mutex<AsyncStream<ScopeEvent>?>(nil)
        let results = try await withInterruptScope { scope in
            events.withLock { $0 = scope.events }
            return try await ParallelRunner(workers: 3, limit: .seconds(50)).run(Array(0..<10)) { item in
                switch item {
                case 0, 1: return item
                case 2: try await Interrupt.sleep(for: .longestAccepted)
                case 3: try await Task.sleep(for: .longestAccepted, clock: .continuous)
                default:
                    scope.interrupt(message: "enough")
                    // Finished after it was asked: not thrown away.
                    return item
                }
                return -1
            }
        }
        let expected = ["0", "1", "terminated", "terminated", "4"]
        #expect(words(results) == expected + Array(repeating: "cancelled", count: 5))
        if case .cancelled(let signal) = results.outcomes[9] { #expect(signal.message == "enough") }
        #expect(results.counts.waiting == 0 && !results.isWhole)
        var notices: [String] = []
        for await case .notice(let text) in try #require(events.withLock { $0 }) { notices.append(text) }
        #expect(notices.contains("Stopping task submission at task 6/10"))
        #expect(notices.contains("Stopping result collection due to urgent cancellation"))
        #expect(notices.contains("Terminated: task 3 [3/10]"))
        #expect(notices.last == "Returning partial results: 3/10 tasks completed (30.0%)")
    }

    @Test func `stage 2 leaves an item that is deaf running after its limit, and keeps what came`() async throws {
        let mayGoOn = Atomic<Bool>(false)
        let results = try await withInterruptScope { scope in
            try await ParallelRunner(workers: 1, limit: .milliseconds(5)).run([0, 1, 2]) { item in
                if item == 0 { return item }
                scope.interrupt()
                while !mayGoOn.load(ordering: .relaxed) { await Task.yield() }
                return item
            }
        }
        mayGoOn.store(true, ordering: .relaxed)
        #expect(words(results) == ["0", "running", "cancelled"])
    }

    @Test func `stage 3 throws`() async {
        await withInterruptScope { scope in
            let error = await #expect(throws: InterruptedError.self) {
                try await ParallelRunner(workers: 2).run(Array(0..<10)) { item in
                    if item == 1 { scope.interrupt(message: "now", stage: .kill) }
                    try await Interrupt.sleep(for: .longestAccepted)
                }
            }
            #expect(error?.description == "Immediate termination requested during result collection")
            #expect(error?.signal.message == "now")
        }
    }

    @Test func `what is interrupted before starts nothing`() async throws {
        try await withInterruptScope { scope in
            scope.interrupt(stage: .drain)
            let results = try await ParallelRunner().run([1, 2]) { item in Issue.record("\(item) ran") }
            #expect(words(results) == ["cancelled", "cancelled"])
        }
    }

    @Test func `cancelling the surrounding task returns what there is`() async throws {
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await ParallelRunner(workers: 1, limit: .seconds(50)).run([0, 1, 2]) { item in
                if item == 0 { return item }
                begin.finish()
                try await Task.sleep(for: .longestAccepted, clock: .continuous)
                return item
            }
        }
        for await _ in begun {}
        task.cancel()
        #expect(words(try await task.value) == ["0", "terminated", "cancelled"])
    }

    @Test func `too many failures in a window interrupt all, once, and not what is around them`() async throws {
        try await withInterruptScope { scope in
            let runner = ParallelRunner(workers: 1, errorThreshold: ErrorThreshold(3, within: .seconds(60)))
            let results = try await runner.run(Array(0..<10)) { item in
                if item > 0 { throw Broken() }
                return item
            }
            #expect(Array(words(results).prefix(4)) == ["0", "failed", "failed", "failed"])
            #expect(words(results).suffix(6).allSatisfy { $0 == "cancelled" } && !scope.isInterrupted)
            guard case .cancelled(let signal) = results.outcomes[9] else { throw Broken() }
            #expect(signal.reason == .errorThreshold && signal.message == "3 failures within 60s")
        }
    }

    @Test func `with eight workers, too, nothing starts after one failure too many`() async throws {
        for _ in 0..<200 {
            let started = Mutex(0)
            let runner = ParallelRunner(workers: 8, errorThreshold: ErrorThreshold(1, within: .seconds(60)))
            let results = try await runner.run(Array(0..<100)) { item in
                started.withLock { $0 += 1 }
                throw Broken()
            }
            #expect(results.counts.cancelled >= 100 - 16 && results.counts.cancelled == 100 - started.withLock { $0 })
        }
    }

    @Test func `an item that is cancelled with its scope is told why, not only that`() async throws {
        let causes = Mutex<[String?]>([])
        await withInterruptScope { scope in
            _ = try? await ParallelRunner(workers: 4, limit: .seconds(50)).run(Array(0..<4)) { item in
                do {
                    if item == 3 { scope.interrupt(message: "enough") }
                    try await Interrupt.sleep(for: .longestAccepted)
                } catch {
                    causes.withLock { $0.append((error as? InterruptedError)?.signal.message) }
                    throw error
                }
            }
        }
        #expect(causes.withLock { $0 } == Array(repeating: "enough", count: 4))
    }

    @Test func `work around a runner that returned partial results was interrupted`() async throws {
        let scope = try await withInterruptScope { scope in
            _ = try await ParallelRunner(workers: 1).run([0, 1]) { item in
                if item == 0 { scope.interrupt() }
            }
            return scope
        }
        #expect(scope.status == .interrupted)
    }

    @Test func `stage 3 does not wait for an item that is deaf`() async throws {
        let mayGoOn = Atomic<Bool>(false)
        let took = await ContinuousClock().measure {
            await withInterruptScope { scope in
                _ = await #expect(throws: InterruptedError.self) {
                    try await ParallelRunner(workers: 1, limit: .longestAccepted).run([0]) { _ in
                        scope.interrupt()
                        scope.interrupt(stage: .kill)
                        while !mayGoOn.load(ordering: .relaxed) { await Task.yield() }
                    }
                }
            }
        }
        mayGoOn.store(true, ordering: .relaxed)
        #expect(took < .seconds(60))  // and not ten years
    }

    @Test func `failures outside of the window do not count`() {
        var window = FailureWindow(ErrorThreshold(2, within: .seconds(1)))
        let now = ContinuousClock.now
        let reasons = [0, 2, 4, 4, 4].map { window.failed(at: now + .seconds($0))?.reason }
        #expect(reasons == [nil, nil, nil, .errorThreshold, nil])
    }

    @Test func `progress counts each item once`() async throws {
        let events = try await withInterruptScope { scope in
            let events = scope.events
            _ = try await ParallelRunner(workers: 3).run(Array(0..<20)) { item in
                if item % 5 == 0 { throw Broken() }
            }
            return events
        }
        var last: WorkCounts?
        for await case .progress(let counts) in events {
            #expect(counts.total == 20 && counts.waiting >= 0 && counts.running <= 3)
            last = counts
        }
        #expect(last?.completed == 16 && last?.failed == 4 && last?.waiting == 0)
    }

    @Test func `the number of workers is within its limits`() {
        #expect(ParallelRunner(workers: 0).workers == 1 && ParallelRunner(workers: 1 << 40).workers == 1_024)
        #expect(ParallelRunner.defaultWorkers >= 1)
    }

    @Test(arguments: [
        (0, 0, "0/0 tasks completed (0.0%)"), (1, 3, "1/3 tasks completed (33.3%)"),
        (2, 3, "2/3 tasks completed (66.7%)"), (3, 3, "3/3 tasks completed (100.0%)"),
        (1, 2_000, "1/2000 tasks completed (0.1%)"),
    ])
    func `the line about partial results is exact`(completed: Int, total: Int, text: String) {
        #expect(StageTexts.partialResults(completed, of: total) == "Returning partial results: \(text)")
    }

    @Test func `each stage has its text, and a number that is none says so`() {
        #expect(
            (1...4).map(StageTexts.progress) == [
                "Graceful cancellation in progress...", "Urgent cancellation - stopping active work...",
                "Immediate termination requested!", "Unknown interrupt stage: 4",
            ]
        )
    }
}
