internal import InterruptCore
internal import Synchronization

/// Hands a run's output to one consumer: the first bytes at once, what follows in batches. Never waits for it.
///
/// What the file keeps is read back from there, so that a job may be far ahead of the consumer at no cost; only what the
/// file does not keep waits in memory.
final class OutputFeed: Sendable {
    /// How far the job may be ahead of the consumer. As much as a reader finds in Redis.
    private static let limit: Int64 = 16 << 20
    /// A batch is small, because what else goes to Redis waits behind it.
    private static let batchSize: Int64 = 256 << 10
    private static let pieceSize: Int64 = 16 << 10

    private struct State {
        var backlog = OutputBacklog(limit: OutputFeed.limit)
        var tail = OutputTail()
        var pace = OutputPace<ContinuousClock.Instant>()
        var waiter: CheckedContinuation<Void, Never>?
        var isPausing = false
        /// Nothing more will come; from this instant on only the newest is handed out.
        var drainedBy: ContinuousClock.Instant?

        var isEmpty: Bool { backlog.isEmpty && tail.isEmpty }

        /// Whether the consumer has something to do.
        var isDue: Bool { drainedBy != nil || !(isPausing || isEmpty) }

        mutating func takeWaiterIfDue() -> CheckedContinuation<Void, Never>? {
            guard isDue else { return nil }
            defer { waiter = nil }
            return waiter
        }
    }

    private enum Batch {
        case ended
        case inMemory([OutputChunk])
        case inFile([OutputBacklog.Stretch])
    }

    private let file: KeptOutput?
    private let state = Mutex(State())

    /// A feed of what is kept in `file`, and of what is not.
    init(file: KeptOutput?) {
        self.file = file
    }

    /// Offers what was read, the first `kept` bytes of which stand in the file. Returns at once.
    func append(_ bytes: UnsafeRawBufferPointer, kept: Int, of stream: OutputChunk.Stream, at offset: Int64) {
        let kept = file == nil ? 0 : kept
        let waiter = state.withLock { state in
            state.backlog.append(count: kept, of: stream, at: offset)
            state.tail.append(bytes[kept...], of: stream, at: offset + Int64(kept))
            return state.takeWaiterIfDue()
        }
        waiter?.resume()
    }

    /// Nothing more will come: what waits is handed out without a rest, and of what takes longer than `limit` only the
    /// newest.
    func finish(within limit: Duration) {
        let waiter = state.withLock { state in
            state.drainedBy = .now + limit
            return state.takeWaiterIfDue()
        }
        waiter?.resume()
    }

    /// Waits for the next batch; `nil` at the end. For one caller at a time; not ended by cancellation of the task.
    func next() async -> [OutputChunk]? {
        while true {
            await due()
            switch takeBatch() {
            case .ended: return nil
            case .inMemory(let chunks): return chunks
            case .inFile(let stretches):
                let chunks = stretches.compactMap { file?.chunk(at: $0) }
                if !chunks.isEmpty { return chunks }  // else somebody has cut the file
            }
        }
    }

    private func due() async {
        let isDue = state.withLock { $0.isDue }
        if isDue { return }
        await withCheckedContinuation { continuation in
            let isDue = state.withLock { state in
                if !state.isDue { state.waiter = continuation }
                return state.isDue
            }
            if isDue { continuation.resume() }
        }
    }

    private func takeBatch() -> Batch {
        let now = ContinuousClock.now
        let (batch, rest) = state.withLock { state -> (Batch, Duration) in
            if let drainedBy = state.drainedBy, drainedBy < now { state.backlog.leaveOut(downTo: Self.batchSize) }
            // At the rate of a flood only the newest second is of use, not what the job wrote long before.
            if state.pace.isFlood { state.backlog.leaveOut(downTo: Int64(OutputPace<ContinuousClock.Instant>.rate)) }
            if state.isEmpty { return (.ended, .zero) }
            let stretches = state.backlog.take(atMost: Self.batchSize, pieceSize: Self.pieceSize)
            let chunks = stretches.isEmpty ? state.tail.take() : []
            let count = stretches.reduce(0) { $0 + $1.range.count } + chunks.reduce(0) { $0 + $1.bytes.count }
            let rest = state.pace.rest(after: count, isMoreWaiting: !state.isEmpty, now: now)
            state.isPausing = state.drainedBy == nil && rest > .zero
            return (stretches.isEmpty ? .inMemory(chunks) : .inFile(stretches), state.isPausing ? rest : .zero)
        }
        if rest > .zero { _ = AlarmClock.ofProcess.setAlarm(at: now + rest) { self.endPause() } }
        return batch
    }

    private func endPause() {
        let waiter = state.withLock { state in
            state.isPausing = false
            return state.takeWaiterIfDue()
        }
        waiter?.resume()
    }
}
