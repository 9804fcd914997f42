internal import Dispatch
internal import InterruptCore
internal import Synchronization

/// Hands the newest output to one consumer: the first bytes at once, what follows in batches. Never waits for it.
final class OutputFeed: Sendable {
    private struct State {
        var tail: OutputTail
        var waiter: CheckedContinuation<Void, Never>?
        var isPausing = false
        var isFinished = false

        /// Whether the consumer has something to do.
        var isDue: Bool { isFinished || !(isPausing || tail.isEmpty) }

        mutating func takeWaiterIfDue() -> CheckedContinuation<Void, Never>? {
            guard isDue else { return nil }
            defer { waiter = nil }
            return waiter
        }
    }

    private let interval: Duration
    private let state: Mutex<State>

    /// A feed that hands out a batch at most once in `interval`.
    init(limit: Int = 65_536, interval: Duration = .milliseconds(50)) {
        self.interval = interval
        state = Mutex(State(tail: OutputTail(limit: limit)))
    }

    /// Offers what was read. Returns at once.
    func append(_ bytes: UnsafeRawBufferPointer, of stream: OutputChunk.Stream, at offset: Int64) {
        let waiter = state.withLock { state in
            state.tail.append(bytes, of: stream, at: offset)
            return state.takeWaiterIfDue()
        }
        waiter?.resume()
    }

    /// Nothing more will come: what waits is handed out at once.
    func finish() {
        let waiter = state.withLock { state in
            state.isFinished = true
            return state.takeWaiterIfDue()
        }
        waiter?.resume()
    }

    /// Waits for the next batch; `nil` at the end. For one caller at a time; not ended by cancellation of the task.
    func next() async -> [OutputChunk]? {
        while true {
            let isDue = state.withLock { $0.isDue }
            if isDue { break }
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    if !state.isDue { state.waiter = continuation }
                    return state.isDue
                }
                if isDue { continuation.resume() }
            }
        }
        let (chunks, isFinished) = state.withLock { state in
            state.isPausing = !state.isFinished
            return (state.tail.take(), state.isFinished)
        }
        if !isFinished {
            DispatchQueue.global().asyncAfter(deadline: .now() + interval.dispatchInterval) { self.endPause() }
        }
        return chunks.isEmpty ? nil : chunks
    }

    private func endPause() {
        let waiter = state.withLock { state in
            state.isPausing = false
            return state.takeWaiterIfDue()
        }
        waiter?.resume()
    }
}
