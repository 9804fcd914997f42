internal import InterruptCore
internal import Synchronization

/// What of one run is not on record yet. While the transport is out of reach, all of it is in the outbox.
final class Unrecorded: Sendable {
    private struct State {
        var outcome: WaitingOutcome
        /// The last write has failed: what is added goes into the file as well.
        var isAway = false
        var isInFile = false
    }

    private let outbox: Outbox
    private let state: Mutex<State>

    init(_ run: RunID, of instance: String, outbox: Outbox) {
        self.outbox = outbox
        state = Mutex(State(outcome: WaitingOutcome(run: run, instance: instance)))
    }

    /// Adds what is to be written next. Returns at once; callable from any thread.
    func add(isReachable: Bool, _ change: (inout WaitingOutcome) -> Void) {
        state.withLock { state in
            change(&state.outcome)
            if state.isAway || !isReachable { keep(&state) }
        }
    }

    /// The transport could not take something: what waits goes into the file.
    func keep() {
        state.withLock { keep(&$0) }
    }

    /// The transport has taken something, which waits no longer.
    func recorded(_ change: (inout WaitingOutcome) -> Void) {
        state.withLock { state in
            change(&state.outcome)
            state.isAway = false
            guard state.outcome.isEmpty, state.isInFile else { return }
            state.isInFile = false
            outbox.discard(state.outcome.run)
        }
    }

    // Under the lock, so that the outbox hears of the states in their order.
    private func keep(_ state: inout State) {
        state.isAway = true
        guard !state.outcome.isEmpty else { return }
        state.isInFile = true
        outbox.keep(state.outcome)
    }
}
