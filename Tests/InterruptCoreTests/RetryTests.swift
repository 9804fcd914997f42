import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Work that is tried again` {
    private struct Broken: Error, Equatable { var attempt: Int }

    @Test func `ends with the first success, and tells its status`() async throws {
        let (attempts, events) = try await withInterruptScope { scope in
            let events = scope.events
            let attempts = try await scope.retrying(RetryPolicy(attempts: 5, firstPause: .milliseconds(1))) { attempt in
                if attempt < 3 { throw Broken(attempt: attempt) }
                return attempt
            }
            return (attempts, events)
        }
        #expect(attempts == 3)
        var seen: [WorkStatus] = []
        for await case .status(let status) in events { seen.append(status) }
        #expect(seen == [.retrying, .recovered, .retrying, .recovered, .completed])
    }

    @Test func `throws what the last attempt threw`() async {
        await withInterruptScope { scope in
            await #expect(throws: Broken(attempt: 2)) {
                try await scope.retrying(RetryPolicy(attempts: 2, firstPause: .zero)) { throw Broken(attempt: $0) }
            }
            await #expect(throws: Broken(attempt: 1)) {
                try await scope.retrying(RetryPolicy(attempts: 0)) { throw Broken(attempt: $0) }
            }
        }
    }

    @Test func `an interrupt ends a pause at once, and is not tried again`() async {
        await withInterruptScope { scope in
            let count = Mutex(0)
            let policy = RetryPolicy(attempts: 9, firstPause: .longestAccepted, longestPause: .longestAccepted)
            await #expect(throws: InterruptedError.self) {
                try await scope.retrying(policy) { attempt in
                    count.withLock { $0 += 1 }
                    scope.interrupt()
                    throw Broken(attempt: attempt)
                }
            }
            #expect(count.withLock { $0 } == 1)
        }
        await withInterruptScope { scope in
            _ = await #expect(throws: InterruptedError.self) {
                try await scope.retrying(RetryPolicy(attempts: 9, firstPause: .zero)) { attempt in
                    #expect(attempt == 1)
                    scope.interrupt()
                    try scope.checkpoint()
                }
            }
        }
    }

    @Test func `an attempt that its own timeout ends is tried again`() async throws {
        let attempts = try await withInterruptScope { scope in
            try await scope.retrying(RetryPolicy(attempts: 3, firstPause: .zero)) { attempt in
                try await withInterruptScope(timeout: attempt < 3 ? .milliseconds(1) : nil) { one in
                    if attempt < 3 { try await one.sleep(for: .longestAccepted) }
                }
                return attempt
            }
        }
        #expect(attempts == 3)
    }

    @Test func `work that was interrupted before is not even begun`() async {
        await withInterruptScope { scope in
            scope.interrupt()
            await #expect(throws: InterruptedError.self) {
                try await scope.retrying(RetryPolicy(attempts: 3)) { _ in Issue.record("it has begun") }
            }
        }
    }

    @Test func `stage 1 lets it try again: what runs may finish`() async throws {
        let attempts = try await withInterruptScope { scope in
            scope.interrupt(stage: .drain)
            return try await scope.retrying(RetryPolicy(attempts: 3, firstPause: .zero)) { attempt in
                if attempt < 3 { throw Broken(attempt: attempt) }
                return attempt
            }
        }
        #expect(attempts == 3)
    }

    @Test func `a task that is cancelled is not tried again`() async {
        let task = Task {
            try await withInterruptScope { scope in
                try await scope.retrying(RetryPolicy(attempts: 3, firstPause: .longestAccepted)) { attempt in
                    withUnsafeCurrentTask { $0?.cancel() }
                    throw Broken(attempt: attempt)
                }
            }
        }
        await #expect(throws: Broken(attempt: 1)) { try await task.value }
    }

    @Test func `the pauses double up to the longest`() {
        let policy = RetryPolicy(attempts: 9, firstPause: .seconds(1), longestPause: .seconds(10))
        #expect([1, 2, 3, 4, 5, 1_000].map(policy.pause) == [1, 2, 4, 8, 10, 10].map { .seconds($0) })
    }
}
