import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `End of a scope` {
    private struct Broken: Error, CustomStringConvertible { var description: String { "broken" } }

    /// What a scope tells of its end.
    private func ending(_ body: (InterruptScope) async throws -> Void) async -> [String] {
        var events: AsyncStream<ScopeEvent>?
        try? await withInterruptScope { scope in  // only what the scope tells counts here
            events = scope.events
            try await body(scope)
        }
        var seen: [String] = []
        guard let events else { return [] }
        for await event in events {
            switch event {
            case .cleanup(let step, let failure): seen.append(failure.map { "\(step): \($0)" } ?? step)
            case .status(let status) where status.isEnd: seen.append(status.rawValue)
            case .interrupted: seen.append("interrupted")
            default: continue
            }
        }
        return seen
    }

    @Test func `its steps run the last one first, on every path`() async {
        func steps(_ scope: InterruptScope) {
            for name in ["device", "licence"] { #expect(scope.onEnd(name) {}) }
        }
        #expect(await ending { steps($0) } == ["licence", "device", "completed"])
        #expect(
            await ending {
                steps($0)
                throw Broken()
            } == ["licence", "device", "failed"]
        )
        for stage in [InterruptStage.terminate, .kill] {
            let seen = await ending {
                steps($0)
                $0.interrupt(stage: stage)
                try $0.checkpoint()
            }
            #expect(seen == ["licence", "device", "interrupted"])
        }
    }

    @Test func `a step that fails, hangs or blocks stops no other one`() async {
        var seen: [String] = []
        repeat {
            let mayGoOn = Atomic<Bool>(false)
            seen = await ending { scope in
                #expect(scope.onEnd("first") {})
                #expect(
                    scope.onEnd("deaf", limit: .milliseconds(5)) {
                        while !mayGoOn.load(ordering: .relaxed) { await Task.yield() }
                    }
                )
                #expect(
                    scope.onEnd("waits", limit: .milliseconds(5)) { try await Interrupt.sleep(for: .longestAccepted) }
                )
                #expect(scope.onEnd("fails") { throw Broken() })
            }
            mayGoOn.store(true, ordering: .relaxed)
            // One that heeds its timeout is left alone too when it is woken much later: once more.
        } while seen.contains("waits: did not end within 5 ms") && !Task.isCancelled
        #expect(seen.count == 5 && seen.first == "fails: broken" && seen.suffix(2) == ["first", "completed"])
        #expect(seen[1] == "waits: Execution exceeded 0.005s timeout" && seen[2] == "deaf: did not end within 5 ms")
    }

    @Test func `a step may still ask, and is not stopped by what stopped the work`() async {
        let isAsked = Atomic<Bool>(false)
        let seen = await ending { scope in
            #expect(
                scope.onEnd("release") {
                    try Interrupt.checkpoint()
                    try await Interrupt.sleep(for: .milliseconds(1))
                    isAsked.store(true, ordering: .relaxed)
                }
            )
            scope.interrupt(stage: .kill)
            try scope.checkpoint()
        }
        #expect(seen == ["release", "interrupted"] && isAsked.load(ordering: .relaxed))
    }

    @Test func `its steps run when the task is cancelled`() async {
        await withTaskGroup(of: [String].self) { group in
            group.addTask {
                await self.ending { scope in
                    #expect(scope.onEnd("release") {})
                    try await scope.sleep(for: .longestAccepted)
                }
            }
            group.cancelAll()
            #expect(await group.next() == ["release", "failed"])
        }
    }

    @Test func `one that has ended takes no step and starts no task`() async {
        let ended = await withInterruptScope { $0 }
        #expect(!ended.onEnd("late") { Issue.record("ran") })
        ended.startTask("late") { Issue.record("ran") }
        #expect(ended.state.withLock { $0.tasks.isEmpty })
    }

    @Test func `stage 2 cancels its tasks, the end awaits each, and one that is stuck stops no other`() async {
        let mayGoOn = Atomic<Bool>(false)
        let ended = Mutex<[String]>([])
        let seen = await ending { scope in
            scope.startTask("stuck", limit: .milliseconds(500)) {
                while !mayGoOn.load(ordering: .relaxed) { await Task.yield() }
            }
            for name in ["a", "b"] {
                scope.startTask(name, limit: .seconds(50)) {
                    do {
                        try await Task.sleep(for: .longestAccepted)
                    } catch {
                        ended.withLock { $0.append(name) }
                        throw error
                    }
                }
            }
            scope.startTask("fails") { throw Broken() }
            while scope.state.withLock({ $0.tasks.count > 3 }) { await Task.yield() }
            scope.interrupt(stage: .drain)
            #expect(ended.withLock { $0.isEmpty })
            scope.interrupt()
            try scope.checkpoint()
        }
        mayGoOn.store(true, ordering: .relaxed)
        #expect(ended.withLock { $0.sorted() } == ["a", "b"])
        #expect(seen == ["fails: broken", "stuck: did not end in time", "interrupted"])
    }

    @Test func `a task that has ended is forgotten, and one of an interrupted scope is born cancelled`() async {
        await withInterruptScope { scope in
            for number in 0..<1_000 { scope.startTask("\(number)") {} }
            while scope.state.withLock({ !$0.tasks.isEmpty }) { await Task.yield() }
            scope.interrupt()
            let isCancelled = FirstAnswer<Bool>()
            scope.startTask("late") { isCancelled.give(Task.isCancelled) }
            #expect(await isCancelled.wait())
        }
    }

    @Test func `a task may use the scope while it is being cancelled`() async {
        await withInterruptScope { root in
            await withInterruptScope { scope in
                let begun = Wakeup()
                let message = FirstAnswer<String?>()
                scope.startTask("asks") {
                    await withTaskCancellationHandler {
                        begun.signal()
                        for await _ in scope.signals {}
                    } onCancel: {
                        message.give(scope.cause?.message)
                        root.interrupt(message: "late")
                    }
                }
                await begun.wait()
                root.interrupt(message: "first")
                #expect(await message.wait() == "first")
            }
        }
    }
}
