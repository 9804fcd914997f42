internal import InterruptCore
internal import Synchronization

/// Whether a run is to be paused, as it was asked last: set by whoever hears of it, followed by what freezes the run.
///
/// Safe to use from any thread.
public final class PauseSwitch: Sendable {
    private struct State {
        var isWanted = false
        /// `nil` when it is not known, or is to be said again: what was asked in between may have gone unseen here, but not
        /// by those who wait for an answer.
        var isDone: Bool? = false
        var isReported = false
    }

    private let state = Mutex(State())
    private let changed = Wakeup()
    private let report: @Sendable (_ isPaused: Bool) -> Void

    /// A switch of one run, which is not to be paused.
    ///
    /// - Parameter report: called when the run was frozen, and when it goes on; one call at a time. It must return at once.
    public init(report: @escaping @Sendable (_ isPaused: Bool) -> Void = { _ in }) {
        self.report = report
    }

    /// Asks that the run be paused, or that it go on. Returns at once; what was asked last counts. A run that is paused
    /// and is asked to be so anew is reported paused again.
    public func set(_ isToBePaused: Bool) {
        state.withLock { state in
            state.isWanted = isToBePaused
            if isToBePaused, state.isDone == true { state.isDone = nil }
        }
        changed.signal()
    }

    /// Waits for what is ``due()``. `nil` when the task is cancelled. One task at a time may ask.
    func next() async -> Bool? {
        while !Task.isCancelled {
            if let isToBePaused = due() { return isToBePaused }
            await changed.wait()
        }
        return nil
    }

    /// `true` when the run is to be paused and is not, or was asked to be anew; `false` when it is to go on and is paused.
    /// Either when the last attempt has failed.
    func due() -> Bool? { state.withLock { $0.isWanted == $0.isDone ? nil : $0.isWanted } }

    /// Waits until the run is not to be paused: `false` when the task is cancelled. Not while another task waits for
    /// ``next()``.
    func isTakenBack() async -> Bool {
        while !Task.isCancelled {
            if state.withLock({ !$0.isWanted }) { return true }
            await changed.wait()
        }
        return false
    }

    /// Notes that the run is paused, or goes on, and reports it.
    func done(_ isPaused: Bool) {
        let isNews = state.withLock { state in
            defer { (state.isDone, state.isReported) = (isPaused, isPaused) }
            return isPaused || state.isReported
        }
        if isNews { report(isPaused) }
    }

    /// Notes that it is not known whether the run is paused.
    func failed() { state.withLock { $0.isDone = nil } }
}
