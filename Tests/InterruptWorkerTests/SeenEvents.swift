import InterruptCore
import Synchronization

@testable import InterruptWorker

/// What a worker has reported; a test waits here for an event.
final class SeenEvents: Sendable {
    private struct State {
        var events: [WorkerEvent] = []
        var waiters: [(isMet: @Sendable ([WorkerEvent]) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var all: [WorkerEvent] { state.withLock { $0.events } }

    @Sendable func take(_ event: WorkerEvent) {
        let due = state.withLock { state in
            state.events.append(event)
            let events = state.events
            let due = state.waiters.filter { $0.isMet(events) }
            state.waiters.removeAll { $0.isMet(events) }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    func wait(until isMet: @escaping @Sendable ([WorkerEvent]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if isMet(state.events) { return true }
                state.waiters.append((isMet, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func waitForStarts(_ count: Int) async { await wait { $0.pids.count >= count } }
    func waitForEnds(_ count: Int) async { await wait { $0.endings.count >= count } }
    func waitForPauses(_ count: Int) async { await wait { $0.pauses.count >= count } }
    func waitForEntry() async { await wait { !$0.isEmpty } }
}

extension [WorkerEvent] {
    var pids: [Int32] { compactMap { if case .started(_, let pid) = $0 { pid } else { nil } } }
    var endings: [RunEnding] { compactMap { if case .ended(_, let ending, _) = $0 { ending } else { nil } } }
    var holdouts: [Holdout] { compactMap { if case .holdsOut(_, let holdout) = $0 { holdout } else { nil } } }
    var pauses: [Bool] { compactMap { if case .paused(_, let isPaused) = $0 { isPaused } else { nil } } }
    var stages: [InterruptStage] { compactMap { if case .stage(_, let new, _) = $0 { new } else { nil } } }
    /// The most runs that had a process at the same time.
    var mostAtOnce: Int {
        var now = 0
        var most = 0
        for event in self {
            switch event {
            case .started: now += 1
            case .ended(_, let ending, _): now -= ending.exitCode == nil && ending.termSignal == nil ? 0 : 1
            case .entered, .interrupted, .paused, .draining, .holdsOut, .told, .stage: break
            }
            most = Swift.max(most, now)
        }
        return most
    }
}
