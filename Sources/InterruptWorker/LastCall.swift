internal import InterruptCore
internal import Synchronization

/// Tells all that wait for something, once and for good, that the worker waits for nothing any more.
final class LastCall: Sendable {
    private struct State {
        var isMade = false
        var waiters: [Int: Wakeup] = [:]
        var lastID = 0
    }

    private let state = Mutex(State())

    /// Ends every wait, now and later. Callable from any thread.
    func make() {
        let waiters = state.withLock { state in
            state.isMade = true
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.signal() }
    }

    /// Returns when it was made, or when the task is cancelled.
    func wait() async {
        let wakeup = Wakeup()
        let id = state.withLock { state -> Int? in
            if state.isMade { return nil }
            state.lastID += 1
            state.waiters[state.lastID] = wakeup
            return state.lastID
        }
        guard let id else { return }
        await wakeup.wait()
        state.withLock { $0.waiters[id] = nil }
    }

    /// Runs `body`, and cancels it when the last call is made, unless it may still come to something then.
    func cut<Result: Sendable>(
        unless isHopeful: () -> Bool,
        _ body: @escaping @Sendable () async -> Result
    ) async -> Result {
        await withTaskGroup(of: Result?.self) { group in
            group.addTask { await body() }
            group.addTask {
                await self.wait()
                return nil
            }
            while let first = await group.next() {
                if let first {
                    group.cancelAll()
                    return first
                }
                if !isHopeful() { group.cancelAll() }
            }
            fatalError("the body has returned")  // its result left the loop above
        }
    }
}
