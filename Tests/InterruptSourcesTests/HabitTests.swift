import InterruptCore
import Subprocess
import Synchronization
import Testing

/// What `Docs/Checkers.md` advises, each beside what it advises against.
@Suite(.timeLimit(.minutes(1))) struct `A habit` {
    private let items = Array(1...100)

    /// Counts what is done, and asks the work to stop in the middle of it.
    private func work(_ scope: InterruptScope, _ done: inout [Int], _ item: Int) {
        done.append(item)
        if item == 10 { scope.interrupt(message: "enough") }
    }

    @Test func `that is good: a checkpoint in each round; bad: one before the loop`() async {
        var (good, bad): ([Int], [Int]) = ([], [])
        try? await withInterruptScope { scope in
            for item in items {
                try scope.checkpoint()
                work(scope, &good, item)
            }
        }
        try? await withInterruptScope { scope in
            try scope.checkpoint()
            for item in items { work(scope, &bad, item) }
        }
        #expect(good.count == 10 && bad.count == 100)
    }

    @Test func `that is good: an error that is thrown on; bad: one that is swallowed`() async {
        var (good, bad): ([Int], [Int]) = ([], [])
        let error = await #expect(throws: InterruptedError.self) {
            try await withInterruptScope { scope in
                for item in items {
                    try scope.checkpoint()
                    work(scope, &good, item)
                }
            }
        }
        await withInterruptScope { scope in
            for item in items {
                try? scope.checkpoint()
                work(scope, &bad, item)
            }
        }
        #expect(error?.description == "enough" && good.count == 10 && bad.count == 100)
    }

    @Test func `that is good: a scope for each piece of work; bad: a flag for all`() async {
        let flag = Atomic<Bool>(false)
        var (good, bad): ([String], [String]) = ([], [])
        for name in ["first", "second"] {
            await withInterruptScope { scope in
                if name == "first" { scope.interrupt() }
                if !scope.isInterrupted { good.append(name) }
            }
            if name == "first" { flag.store(true, ordering: .relaxed) }
            if !flag.load(ordering: .relaxed) { bad.append(name) }
        }
        // The second was never asked to stop.
        #expect(good == ["second"] && bad == [])
    }

    @Test func `that is good: a checker that asks at its interval; bad: a question for each item`() async throws {
        let asked = Atomic<Int>(0)
        let never = Duration.longestAccepted
        let checker = InterruptChecker("database", every: never, limit: never) { () async -> Bool in
            asked.add(1, ordering: .relaxed)
            return false
        }
        try await withInterruptScope { scope in
            scope.setChecker(checker)
            for _ in items { try scope.checkpoint() }
        }
        #expect(asked.exchange(0, ordering: .relaxed) <= 1)
        try await withInterruptScope { scope in
            scope.setChecker(checker)
            for _ in items { try await scope.checkInterrupt() }
        }
        #expect(asked.load(ordering: .relaxed) >= 99)
    }

    @Test func `that is good: a checker that throws; bad: one that hides why, or takes it for an interrupt`() async {
        struct Away: Error, CustomStringConvertible { let description = "the database is away" }
        @Sendable func question() throws -> Bool { throw Away() }
        #expect(await ask(InterruptChecker("good") { try question() }) == .failed("the database is away"))
        // A failure that nobody hears of, and one that stops all work.
        #expect(await ask(InterruptChecker("silent") { (try? question()) ?? false }) == .none)
        #expect(await ask(InterruptChecker("mass") { (try? question()) ?? true }).signal != nil)
    }
}

/// A program that speaks first, as a broker does, here one that writes lines.
@Suite(.timeLimit(.minutes(1))) struct `A listener` {
    @Test func `needs no checker, and ends with its scope`() async {
        let hasEnded = Mutex(false)
        await withInterruptScope { scope in
            scope.startTask("listener") {
                defer { hasEnded.withLock { $0 = true } }
                _ = try await Subprocess.run(
                    .name("bash"),
                    arguments: ["-c", "echo weekly stop; echo nightly stop; echo nightly stop; exec sleep 1000"],
                    input: .none,
                    output: .sequence,
                    error: .discarded
                ) { execution in
                    for try await line in execution.standardOutput.strings() where line.hasPrefix("nightly") {
                        // The message's own id: the broker may deliver it twice.
                        scope.interrupt(
                            id: RequestID(rawValue: "message 7"),
                            reason: .priorityOverride,
                            triggeredBy: "broker"
                        )
                    }
                }
            }
            let signal = await scope.signals.first { _ in true }
            #expect(signal?.reason == .priorityOverride && signal?.triggeredBy == "broker")
            #expect(throws: InterruptedError.self) { try scope.checkpoint() }
        }
        #expect(hasEnded.withLock { $0 })
    }
}
