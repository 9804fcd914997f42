package import Synchronization

/// Waits for whichever answer comes first; the others are passed over.
package final class FirstAnswer<Value: Sendable>: Sendable {
    @usableFromInline enum State: Sendable {
        /// May become `waiting` or `answered`.
        case open
        /// May become `answered`.
        case waiting(CheckedContinuation<Value, Never>)
        case answered(Value)
    }

    @usableFromInline let state = Mutex(State.open)

    @inlinable package init() {}

    /// Answers, if nobody has. Callable from any thread.
    @inlinable package func give(_ value: Value) {
        let waiter = state.withLock { state -> CheckedContinuation<Value, Never>? in
            switch state {
            case .open:
                state = .answered(value)
                return nil
            case .waiting(let waiter):
                state = .answered(value)
                return waiter
            case .answered: return nil
            }
        }
        waiter?.resume(returning: value)
    }

    /// Returns with the first answer, to one waiter. Does not end when its task is cancelled.
    @inlinable package func wait() async -> Value {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> Value? in
                if case .answered(let value) = state { return value }
                state = .waiting(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

/// Starts `body`, on `executor` if there is one, and returns its result, or `nil` when it has not ended within `limit`,
/// or, if the surrounding task is cancelled, until then.
///
/// What is late is cancelled and not awaited, in this one place and for checkers: nothing ends code that does not heed its
/// cancellation, and whoever has a limit must not wait for it.
func withLimit<Result: Sendable>(
    _ limit: Duration,
    on executor: (any TaskExecutor)? = nil,
    _ body: @escaping @Sendable () async -> Result
) async -> Result? {
    let first = FirstAnswer<Result?>()
    let task = Task(executorPreference: executor) { first.give(await body()) }
    let giveUp: @Sendable () -> Void = {
        first.give(nil)
        cancelElsewhere([task])
    }
    let alarm = AlarmClock.ofProcess.setAlarm(at: .now + limit.clamped, giveUp)
    defer { alarm.cancel() }
    return await withTaskCancellationHandler {
        await first.wait()
    } onCancel: {
        giveUp()
    }
}
