import Dispatch
import Synchronization
import Testing

@testable import InterruptCore

@Suite struct `Progress` {
    @Test(arguments: [Double.nan, -0.001, 1.001, .infinity, -.infinity, 40])
    func `that is no part of a whole is refused, with the number`(value: Double) {
        let error = #expect(throws: ProgressError.self) { try WorkProgress(value) }
        #expect(error?.description.hasPrefix("progress \(value) is refused: ") == true)
    }

    @Test func `that is off by a rounding error only is taken as 0 or 1`() throws {
        let tenths = Array(repeating: 0.1, count: 10).reduce(0, +)
        #expect(tenths != 1)
        #expect(try WorkProgress(1 + 1e-12).fraction == 1)
        #expect(try WorkProgress(-1e-12).fraction == 0)
        #expect(try WorkProgress(tenths).percentText == "100 %")
    }

    @Test(
        arguments: [(0, "0 %"), (0.4, "40 %"), (0.29, "29 %"), (0.999_9, "99 %"), (1, "100 %")] as [(Double, String)]
    )
    func `is shown in whole percent, and as 100 only when all is done`(fraction: Double, text: String) throws {
        #expect(try WorkProgress(fraction).percentText == text)
    }

    @Test func `keeps the beginning of a long message, in whole characters`() throws {
        let message = try #require(try WorkProgress(0.5, String(repeating: "ä", count: 1_000)).message)
        #expect(message.utf8.count == WorkProgress.maximumMessageSize)
        #expect(message.allSatisfy { $0 == "ä" })
    }

    @Test(
        arguments: [
            // done, elapsed, standing, left
            (0.25, 10, 0, 30), (0.25, 10, 5, 25), (0.5, 10, 9, 1), (1, 10, 100, 0),
            // too little to say anything
            (0, 10, 0, nil), (0.009, 10, 0, nil), (0.01, 1, 0, 99), (0.5, 0, 0, nil),
            // it stands still: for as long as it took to get there, or for longer than the rest should take
            (0.1, 10, 11, nil), (0.9, 90, 10, nil), (0.9, 90, 9, 1),
        ] as [(Double, Int, Int, Int?)]
    )
    func `says how long the rest takes, as far as that can be said`(
        done: Double,
        elapsed: Int,
        standing: Int,
        left: Int?
    ) throws {
        let rest = try WorkProgress(done).remaining(elapsed: .seconds(elapsed), standing: .seconds(standing))
        #expect(rest.map { Int((($0 / .milliseconds(1)) / 1_000).rounded()) } == left)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Work that tells its progress` {
    @Test func `is heard by those who watch, and the newest is kept`() async throws {
        let events = try await withInterruptScope { scope in
            let events = scope.events
            #expect(scope.progress == nil)
            try scope.report(progress: 0.25)
            try scope.report(progress: 0.5, "half")
            #expect(scope.progress == (try WorkProgress(0.5, "half")))
            return events
        }
        var seen: [WorkProgress] = []
        for await event in events { if case .reported(let progress) = event { seen.append(progress) } }
        #expect(seen == [try WorkProgress(0.25), try WorkProgress(0.5, "half")])
        #expect(InterruptPrinter(style: .text).lines(for: .reported(seen[1])) == ["50 % done: half"])
    }

    @Test func `is stopped there, before a bad number is looked at`() async throws {
        await withInterruptScope { scope in
            scope.interrupt(message: "enough")
            let error = #expect(throws: InterruptedError.self) { try scope.report(progress: .nan, at: "step") }
            #expect(error?.checkpoint == "step")
            #expect(scope.progress == nil)
            #expect(scope.hasSurfaced)
        }
    }

    @Test func `is not heard with a number that is none`() async throws {
        try await withInterruptScope { scope in
            try scope.report(progress: 0.5)
            #expect(throws: ProgressError.self) { try scope.report(progress: .nan) }
            #expect(scope.progress == (try WorkProgress(0.5)))
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Work that holds out` {
    @Test func `is described by its innermost section and checkpoint`() async throws {
        try await withInterruptScope { scope in
            try scope.checkpoint("outer")
            #expect(
                scope.holdout(askedFor: .seconds(2)).text
                    == "cannot be interrupted yet: asked 2.0s ago, last checkpoint 'outer'"
            )
            try await withInterruptScope { inner in
                try await inner.uninterruptible("load") {
                    try Interrupt.checkpoint("inner")
                    let holdout = scope.holdout(askedFor: .seconds(3_600))
                    #expect(holdout.section == "load" && holdout.lastCheckpoint == "inner")
                    #expect(holdout.elapsed < .seconds(3_600))
                }
            }
            #expect(scope.holdout(askedFor: .zero).section == nil)
        }
        #expect(Holdout(section: "a\nb", elapsed: .seconds(1)).text.hasSuffix("in 'a\\nb' for 1.0s"))
    }
}

/// Runs tasks on one thread, and says whether the caller is on it.
private final class OneThread: TaskExecutor {
    private let queue = DispatchQueue(label: "one thread")
    private let key = DispatchSpecificKey<Bool>()

    init() { queue.setSpecific(key: key, value: true) }

    var isHere: Bool { DispatchQueue.getSpecific(key: key) ?? false }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A scope for the work of others` {
    @Test func `keeps its tasks and its steps on their threads`() async throws {
        let thread = OneThread()
        let places = Mutex<[String: Bool]>([:])
        let note: @Sendable (String) -> Void = { name in places.withLock { $0[name] = thread.isHere } }
        await withInterruptScope { outer in
            outer.startTask("pool", limit: .seconds(50)) { note("pool") }
            let scope = InterruptScope(below: outer, on: thread)
            await scope.contain { scope in
                scope.startTask("task", limit: .seconds(50)) { note("task") }
                #expect(scope.onEnd("step", limit: .seconds(50)) { note("step") })
                await withInterruptScope { $0.startTask("nested", limit: .seconds(50)) { note("nested") } }
            }
        }
        #expect(places.withLock { $0 } == ["pool": false, "task": true, "step": true, "nested": true])
    }

    @Test func `is not waited for by who interrupts it, when one of its tasks blocks while it is cancelled`()
        async throws
    {
        let isReleased = DispatchSemaphore(value: 0)
        let started = Wakeup()
        await withInterruptScope { outer in
            let scope = InterruptScope(below: outer, on: OneThread())
            await scope.contain { scope in
                scope.startTask("deaf", limit: .seconds(50)) {
                    await withTaskCancellationHandler {
                        started.signal()
                        await Wakeup().wait()
                    } onCancel: {
                        isReleased.wait()
                    }
                }
                await started.wait()
                outer.interrupt()  // would not return
                isReleased.signal()
            }
        }
    }
}
