import Synchronization

/// Wakes one waiter. It is level-triggered: a signal that comes before the wait ends that wait at once, and several
/// signals count as one.
package final class Wakeup: Sendable {
    private enum State {
        /// May become `signalled` or `waiting`.
        case idle
        /// May become `idle`.
        case signalled
        /// May become `idle`.
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.idle)

    package init() {}

    /// Ends the current wait, or the next one. Callable from any thread.
    package func signal() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            switch state {
            case .idle, .signalled:
                state = .signalled
                return nil
            case .waiting(let waiter):
                state = .idle
                return waiter
            }
        }
        waiter?.resume()
    }

    /// Forgets a signal that nobody has waited for.
    package func clear() {
        state.withLock { if case .signalled = $0 { $0 = .idle } }
    }

    /// Returns when signalled, or when the task is cancelled.
    package func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    if case .signalled = state {
                        state = .idle
                        return true
                    }
                    if Task.isCancelled { return true }
                    state = .waiting(continuation)
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard case .waiting(let waiter) = state else { return nil }
                state = .idle
                return waiter
            }
            waiter?.resume()
        }
    }

    /// Returns when signalled, at `instant`, or when the task is cancelled.
    package func wait(until instant: ContinuousClock.Instant) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await Task.sleep(until: instant, clock: .continuous) }  // cancelled: signalled first
            group.addTask { await self.wait() }
            await group.next()
            group.cancelAll()
        }
    }
}
