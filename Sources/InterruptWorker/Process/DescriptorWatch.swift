internal import Synchronization

/// Waits for one descriptor to become readable, or for being told to stop waiting.
///
/// The descriptor is borrowed: it must stay open until ``readable()`` has returned, and is not watched any more then.
final class DescriptorWatch: Sendable {
    private enum State {
        /// Nobody waits yet. Then `waiting` or `ended`.
        case idle
        /// Then `ended`.
        case waiting(DescriptorEvents.Watch, CheckedContinuation<Void, Never>)
        case ended
    }

    private let descriptor: Int32
    private let state = Mutex(State.idle)

    /// A watch on `descriptor` for one call of ``readable()``.
    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Returns when the descriptor is readable, at once if it is already, or after ``stop()``. Not ended by cancellation
    /// of the task.
    func readable() async {
        await withCheckedContinuation { continuation in
            let isStopped = state.withLock { state in
                guard case .idle = state else { return true }
                // Under the lock, so that an event that comes at once finds who waits.
                let watch = DescriptorEvents.ofProcess.watch(descriptor) { self.stop() }
                state = .waiting(watch, continuation)
                return false
            }
            if isStopped { continuation.resume() }
        }
    }

    /// The same, at the latest at `deadline`, or when the task is cancelled.
    func readable(before deadline: ContinuousClock.Instant) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.readable() }
            group.addTask {
                try? await Task.sleep(until: deadline, clock: .continuous)  // cancelled: nobody waits any more
                self.stop()
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// Makes ``readable()`` return. Idempotent; callable from anywhere.
    func stop() {
        let before = state.withLock { state in
            defer { state = .ended }
            return state
        }
        guard case .waiting(let watch, let continuation) = before else { return }
        DescriptorEvents.ofProcess.end(watch)
        continuation.resume()
    }
}
