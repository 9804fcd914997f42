internal import Synchronization

/// When a leased run and its hooks are killed, unless that is moved on: by whoever renews the lease, followed by what holds
/// them.
///
/// Safe to use from any thread.
public final class RunFence: Sendable {
    private struct State {
        var instant: BootTime
        var moves: [@Sendable (BootTime) -> Void] = []
    }

    private let state: Mutex<State>

    /// A fence at `instant`.
    public init(at instant: BootTime) { state = Mutex(State(instant: instant)) }

    /// Moves the fence. Returns at once.
    public func move(to instant: BootTime) {
        state.withLock { state in
            state.instant = instant
            for move in state.moves { move(instant) }
        }
    }

    /// Where it is now.
    var instant: BootTime { state.withLock { $0.instant } }

    /// Calls `move` now and each time that the fence is moved. It must return at once.
    func follow(_ move: @escaping @Sendable (BootTime) -> Void) {
        state.withLock { state in
            state.moves.append(move)
            move(state.instant)
        }
    }
}
