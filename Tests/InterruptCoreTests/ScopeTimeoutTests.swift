import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Timeout of a scope` {
    private func firstSignal(_ arrange: (InterruptScope) -> Void) async -> InterruptSignal? {
        await withInterruptScope { scope in
            arrange(scope)
            return await scope.signals.first { _ in true }
        }
    }

    @Test(arguments: [
        (Duration.milliseconds(1), "Execution exceeded 0.001s timeout"),
        (.milliseconds(20), "Execution exceeded 0.02s timeout"), (.zero, "Execution exceeded 0s timeout"),
    ])
    func `it interrupts with the documented text`(duration: Duration, text: String) async {
        let signal = await firstSignal { $0.setTimeout(duration) }
        #expect(signal?.message == text)
        #expect(signal?.reason == .timeout)
        #expect(signal?.triggeredBy == "timeout_monitor")
        #expect(signal?.source == .timeout)
        #expect(signal?.stage == .terminate)
    }

    @Test func `its message may be one's own`() async {
        #expect(await firstSignal { $0.setTimeout(.zero, message: "too slow") }?.message == "too slow")
    }

    @Test func `a new one replaces the old, longer or shorter`() async {
        let shortened = await firstSignal { scope in
            scope.setTimeout(.longestAccepted, message: "old")
            scope.setTimeout(.milliseconds(1), message: "new")
        }
        #expect(shortened?.message == "new")
        var isLate = true
        while isLate {
            let began = ContinuousClock.now
            await withInterruptScope(timeout: .milliseconds(30)) { scope in
                scope.setTimeout(.longestAccepted)
                isLate = began.duration(to: .now) >= .milliseconds(30)
                if isLate { return }  // the old one may have fired before: once more
                // A scope that begins later and has a longer timeout has fired: the replaced one never will.
                await withInterruptScope(timeout: .milliseconds(60)) { later in
                    _ = await later.signals.first { _ in true }
                }
                #expect(!scope.isInterrupted)
            }
        }
    }

    @Test func `one that has passed already fires at once`() async throws {
        try await withInterruptScope(timeout: .longestAccepted) { scope in
            try await scope.sleep(for: .milliseconds(5))
            scope.setTimeout(.milliseconds(1), message: "shrunk")
            #expect(await scope.signals.first { _ in true }?.message == "shrunk")
        }
    }

    @Test func `it may be as long as a duration can be`() async {
        await withInterruptScope(timeout: .seconds(Int64.max / 2)) { scope in
            await Task.yield()
            #expect(!scope.isInterrupted)
        }
    }

    @Test func `it does not take a first cause's place, and is kept as late`() async {
        await withInterruptScope { scope in
            scope.interrupt(message: "first")
            scope.setTimeout(.zero)
            while scope.late.isEmpty { await Task.yield() }
            #expect(scope.cause?.message == "first")
            #expect(scope.late.map(\.reason) == [.timeout])
            #expect(await scope.signals.prefix(1).reduce(0) { count, _ in count + 1 } == 1)
        }
    }

    @Test func `of 10,000 that race with their cancellation none fires afterwards`() async {
        var firedAfterwards = 0
        var firedBefore = 0
        for index in 0..<10_000 {
            await withInterruptScope(timeout: .microseconds(index % 60)) { scope in
                if index % 3 == 0 { await Task.yield() }
                scope.cancelTimeout()
                let isInterrupted = scope.isInterrupted
                await Task.yield()
                await Task.yield()
                if isInterrupted { firedBefore += 1 }
                if scope.isInterrupted != isInterrupted { firedAfterwards += 1 }
            }
        }
        #expect(firedAfterwards == 0)
        #expect(firedBefore < 10_000)
    }

    @Test func `with a checker and a local call beside it, whichever is first is the cause, and the others are late`()
        async
    {
        for first in ["timeout_monitor", "external_checker", "ann"] {
            await withInterruptScope { scope in
                let mayAsk = Wakeup()
                scope.setChecker(
                    InterruptChecker("elsewhere", every: .milliseconds(1), limit: .longestAccepted) {
                        () async -> Bool in
                        if first != "external_checker" { await mayAsk.wait() }
                        return true
                    }
                )
                if first == "timeout_monitor" { scope.setTimeout(.zero) }
                if first == "ann" { scope.interrupt(triggeredBy: "ann") }
                _ = await scope.signals.first { _ in true }
                mayAsk.signal()
                if first != "timeout_monitor" { scope.setTimeout(.zero) }
                if first != "ann" { scope.interrupt(triggeredBy: "ann") }
                while scope.late.count < 2 { await Task.yield() }
                let all = ["timeout_monitor", "external_checker", "ann"]
                #expect(scope.cause?.triggeredBy == first)
                #expect(Set(scope.late.map(\.triggeredBy)) == Set(all.filter { $0 != first }))
            }
        }
    }

    @Test func `of 1,000 pairs with a local call exactly one wins, and the other is late`() async {
        var winners: [InterruptReason: Int] = [:]
        for index in 0..<1_000 {
            let (cause, late) = await withInterruptScope(timeout: .microseconds(index % 100)) { scope in
                if index % 2 == 0 { await Task.yield() }
                scope.interrupt(reason: .userCancelled)
                while scope.late.isEmpty { await Task.yield() }
                return (scope.cause, scope.late)
            }
            winners[cause?.reason ?? .custom, default: 0] += 1
            if late.count != 1 || late.first?.reason == cause?.reason { Issue.record("\(late)") }
        }
        #expect(winners.values.reduce(0, +) == 1_000)
        #expect(Set(winners.keys).isSubset(of: [.userCancelled, .timeout]))
    }
}
