import Synchronization

/// Where the results of a ``ParallelRunner``'s items come together, each in its place.
final class Gathering<Value: Sendable>: Sendable {
    private struct State {
        var results: [Result<Value, any Error>?]
        var terminated: Set<Int> = []
        var begun = 0
        var counts: WorkCounts
        /// How many items have ended since somebody asked.
        var freed = 0
        var isClosed = false
    }

    /// Signalled when an item has ended, and at every stage.
    let change = Waiter(.drain)
    let bus: EventBus?
    private let state: Mutex<State>

    init(count: Int, bus: EventBus?) {
        self.bus = bus
        state = Mutex(State(results: Array(repeating: nil, count: count), counts: WorkCounts(total: count)))
    }

    /// Notes that the next item begins.
    func begin() {
        state.withLock { state in
            state.begun += 1
            state.counts.running += 1
            bus?.publish(.progress(state.counts))
        }
    }

    /// Keeps what became of an item; answers whether it has failed by itself.
    ///
    /// - Parameter isAsked: whether it was asked to end.
    func end(_ index: Int, _ result: Result<Value, any Error>, isAsked: Bool) -> Bool {
        let kind: WritableKeyPath<WorkCounts, Int> =
            switch result {
            case .success: \.completed
            case .failure(let error) where isAsked && error.isInterruption: \.terminated
            case .failure: \.failed
            }
        state.withLock { state in
            // What ends after its results were handed out is not told any more.
            if state.isClosed { return }
            state.results[index] = result
            if kind == \.terminated { state.terminated.insert(index) }
            state.counts.running -= 1
            state.counts[keyPath: kind] += 1
            // Under the lock, so that no reader sees the counts go backwards.
            bus?.publish(.progress(state.counts))
            if kind == \.terminated {
                let line = StageTexts.terminated("task \(index + 1)", index + 1, of: state.counts.total)
                bus?.publish(.notice(line))
            }
        }
        return kind == \.failed
    }

    /// Lets the next item begin in place of one that has ended.
    func freeWorker() {
        state.withLock { $0.freed += 1 }
        change.wakeup.signal()
    }

    /// How many items have ended since the last call.
    func takeFreeWorkers() -> Int {
        state.withLock { state in
            defer { state.freed = 0 }
            return state.freed
        }
    }

    /// - Parameter cause: why an item is missing, if one is.
    func results(cause: InterruptSignal?) -> PartialResults<Value> {
        let cause = cause ?? InterruptSignal(reason: .custom)
        return state.withLock { state in
            state.isClosed = true
            return PartialResults(
                outcomes: state.results.enumerated().map { index, result in
                    switch result {
                    case .success(let value): .completed(value)
                    case .failure where state.terminated.contains(index): .terminated(cause)
                    case .failure(let error): .failed(error)
                    case nil: index < state.begun ? .stillRunning(cause) : .cancelled(cause)
                    }
                }
            )
        }
    }
}

extension Error {
    /// Whether this error only says that the work was asked to end: an ``InterruptedError`` or a `CancellationError`.
    public var isInterruption: Bool { self is InterruptedError || self is CancellationError }
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
