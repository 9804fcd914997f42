import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `A wakeup` {
    @Test func `a signal before the wait ends it, and several count as one`() async {
        let wakeup = Wakeup()
        wakeup.signal()
        wakeup.signal()
        await wakeup.wait()
        // Nothing is left: only the instant ends this one.
        let end = ContinuousClock.now + .milliseconds(5)
        await wakeup.wait(until: end)
        #expect(ContinuousClock.now >= end)
    }

    @Test func `a signal that is forgotten ends nothing`() async {
        let wakeup = Wakeup()
        wakeup.signal()
        wakeup.clear()
        let end = ContinuousClock.now + .milliseconds(5)
        await wakeup.wait(until: end)
        #expect(ContinuousClock.now >= end)
    }

    @Test func `cancellation ends a wait, and takes no signal away`() async {
        let wakeup = Wakeup()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await wakeup.wait() }
            group.cancelAll()
        }
        wakeup.signal()
        await wakeup.wait()
    }

    @Test func `10,000 signals race with their waits and none is lost`() async {
        let asked = Wakeup()
        let answered = Wakeup()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<10_000 {
                    await asked.wait()
                    answered.signal()
                }
            }
            for _ in 0..<10_000 {
                asked.signal()
                await answered.wait()
            }
        }
    }

    @Test func `10,000 waits race with cancellation and all return`() async {
        for _ in 0..<10_000 {
            let wakeup = Wakeup()
            let task = Task { await wakeup.wait() }
            if Bool.random() { wakeup.signal() }
            task.cancel()
            await task.value
        }
    }

    @Test func `a signal ends a wait for an instant far away`() async {
        let wakeup = Wakeup()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await wakeup.wait(until: .now + .longestAccepted) }
            wakeup.signal()
        }
    }
}
