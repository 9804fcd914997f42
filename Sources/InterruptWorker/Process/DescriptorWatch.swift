internal import Dispatch
internal import Synchronization

/// Waits for one descriptor to become readable, or for being told to stop waiting.
///
/// The descriptor is borrowed: it must stay open until ``readable()`` has returned, and is not watched any more then.
final class DescriptorWatch: Sendable {
    private struct State {
        var source: ReadSource?
        var isStopped = false
    }

    private static let queue = DispatchQueue(label: "interrupt.exits")
    private let descriptor: Int32
    private let state = Mutex(State())

    /// A watch on `descriptor` for one call of ``readable()``.
    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Returns when the descriptor is readable, at once if it is already, or after ``stop()``. Not ended by cancellation
    /// of the task.
    func readable() async {
        await withCheckedContinuation { continuation in
            let source = ReadSource(descriptor, queue: Self.queue)
            // Dispatch drops the handlers on cancel, and with them the cycle.
            source.dispatch.setEventHandler { source.cancel() }
            source.dispatch.setCancelHandler { continuation.resume() }
            source.dispatch.activate()
            let isStopped = state.withLock { state in
                state.source = source
                return state.isStopped
            }
            if isStopped { source.cancel() }
        }
        state.withLock { $0.source = nil }
    }

    /// Makes ``readable()`` return. Idempotent; callable from anywhere.
    func stop() {
        let source = state.withLock { state in
            state.isStopped = true
            return state.source
        }
        source?.cancel()
    }
}

/// A Dispatch source that tells when a descriptor is readable.
///
/// Unchecked: a source may be used from any thread, which Dispatch's protocol does not say.
struct ReadSource: @unchecked Sendable {
    /// The source itself.
    let dispatch: any DispatchSourceRead

    /// A source on `descriptor`, not yet active.
    init(_ descriptor: Int32, queue: DispatchQueue) {
        dispatch = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
    }

    /// Ends it: no event follows, then its cancel handler runs. Idempotent.
    func cancel() { dispatch.cancel() }
}
