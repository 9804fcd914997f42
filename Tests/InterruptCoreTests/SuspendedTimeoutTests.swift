import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Suspended timeout of a scope` {
    /// Returns when another timeout has fired that began later and is longer than this: what is earlier and runs has
    /// fired too then.
    private func outlast(_ duration: Duration) async {
        await withDetachedInterruptScope(timeout: duration) { later in
            _ = await later.signals.first { _ in true }
        }
    }

    @Test func `it does not fire, and has what was left of it when it goes on`() async {
        var isLate = true
        while isLate {
            let began = ContinuousClock.now
            await withInterruptScope(timeout: .milliseconds(30)) { scope in
                scope.suspendTimeout()
                let suspended = ContinuousClock.now
                isLate = began.duration(to: suspended) >= .milliseconds(30)
                if isLate { return }  // it may have fired before: once more
                await outlast(.milliseconds(60))
                #expect(!scope.isInterrupted)
                let pause = suspended.duration(to: .now)
                scope.resumeTimeout()
                let signal = await scope.signals.first { _ in true }
                #expect(signal?.reason == .timeout && signal?.message == "Execution exceeded 0.03s timeout")
                #expect(began.duration(to: .now) >= pause + .milliseconds(30))
            }
        }
    }

    @Test func `of several suspensions all count, and a repetition of either call changes nothing`() async {
        let began = ContinuousClock.now
        await withInterruptScope(timeout: .milliseconds(30)) { scope in
            var pauses = Duration.zero
            scope.resumeTimeout()
            for _ in 0..<3 {
                scope.suspendTimeout()
                let suspended = ContinuousClock.now
                scope.suspendTimeout()
                await outlast(.milliseconds(10))
                scope.suspendTimeout()
                pauses += suspended.duration(to: .now)
                scope.resumeTimeout()
                scope.resumeTimeout()
            }
            _ = await scope.signals.first { _ in true }
            #expect(began.duration(to: .now) >= pauses + .milliseconds(30))
        }
    }

    @Test func `one that is set meanwhile waits too, even one that has passed`() async throws {
        try await withInterruptScope { scope in
            try await scope.sleep(for: .milliseconds(2))
            scope.suspendTimeout()
            scope.setTimeout(.milliseconds(1))
            await outlast(.milliseconds(10))
            #expect(!scope.isInterrupted)
            scope.resumeTimeout()
            #expect(scope.cause?.reason == .timeout, "at once")
        }
    }

    @Test func `it can be taken back, and then it does not come with going on`() async {
        await withInterruptScope { scope in
            scope.suspendTimeout()
            scope.setTimeout(.milliseconds(1))
            scope.cancelTimeout()
            scope.resumeTimeout()
            await outlast(.milliseconds(10))
            #expect(!scope.isInterrupted)
        }
    }

    @Test func `its warning comes once: when it goes on, if it had not been given before`() async {
        for isGivenBefore in [false, true] {
            await withInterruptScope { scope in
                let events = scope.events
                var warnings = events.makeAsyncIterator()
                func warning() async -> Bool {
                    while let event = await warnings.next(isolation: #isolation) {
                        if case .timeoutApproaching = event { return true }
                        if case .accepted = event { return false }
                    }
                    return false
                }
                // It warns after 60 µs.
                if isGivenBefore {
                    scope.setTimeout(.seconds(50), warningAfter: 0.000_001_2)
                    #expect(await warning())
                    scope.suspendTimeout()
                } else {
                    scope.suspendTimeout()
                    scope.setTimeout(.seconds(50), warningAfter: 0.000_001_2)
                    await outlast(.milliseconds(10))
                }
                scope.resumeTimeout()
                await outlast(.milliseconds(10))
                scope.interrupt()
                #expect(await warning() == !isGivenBefore)
            }
        }
    }

    @Test func `of 10,000 that race with their suspension none fires before they go on, and each does after`() async {
        var firedMeanwhile = 0
        var firedBefore = 0
        for index in 0..<10_000 {
            await withInterruptScope(timeout: .microseconds(index % 60)) { scope in
                if index % 3 == 0 { await Task.yield() }
                scope.suspendTimeout()
                let isInterrupted = scope.isInterrupted
                await Task.yield()
                await Task.yield()
                if isInterrupted { firedBefore += 1 }
                if scope.isInterrupted != isInterrupted { firedMeanwhile += 1 }
                scope.resumeTimeout()
                _ = await scope.signals.first { _ in true }
                if scope.late.count > 0 || scope.cause?.reason != .timeout { Issue.record("\(scope.late)") }
            }
        }
        #expect(firedMeanwhile == 0)
        #expect(firedBefore < 10_000)
    }
}
