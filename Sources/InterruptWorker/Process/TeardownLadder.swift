internal import InterruptCore

/// Decides what is done to a run's process tree, step by step: ask once, then force. It never goes a step back.
///
/// Late and repeated events are normal and answered with ``Action/none``.
struct TeardownLadder<Instant: InstantProtocol> where Instant.Duration == Duration {
    /// What is to be done now.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Ask the tree to end, and come back with ``TeardownLadder/deadlineReached(now:)`` at `killAt`.
        case terminate(killAt: Instant)
        /// Ask nothing again, but come back earlier, at `killAt`.
        case shorten(killAt: Instant)
        /// Force the tree to end now.
        case kill
    }

    private enum Step {
        /// Nothing was asked. May become terminating, killed, ended.
        case untouched
        /// Asked to end by `killAt`. May become killed, ended; `killAt` only moves earlier.
        case terminating(killAt: Instant)
        /// Forced. May become ended.
        case killed
        /// No process is left. Final.
        case ended
    }

    private var step = Step.untouched

    /// An interrupt was accepted for the run.
    mutating func interrupt(stage: InterruptStage, gracePeriod: Duration, now: Instant) -> Action {
        switch stage {
        case .drain: .none
        case .terminate where gracePeriod > .zero: terminate(killAt: now.advanced(by: gracePeriod))
        case .terminate, .kill: kill()
        }
    }

    /// The instant `killAt` of an earlier answer was reached, or something that calls itself so.
    mutating func deadlineReached(now: Instant) -> Action {
        switch step {
        case .terminating(let killAt) where killAt <= now: kill()
        case .untouched, .terminating, .killed, .ended: .none
        }
    }

    /// No process of the tree is left.
    mutating func treeEnded() {
        step = .ended
    }

    private mutating func terminate(killAt: Instant) -> Action {
        switch step {
        case .untouched:
            step = .terminating(killAt: killAt)
            return .terminate(killAt: killAt)
        case .terminating(let earlier) where killAt < earlier:
            step = .terminating(killAt: killAt)
            return .shorten(killAt: killAt)
        case .terminating, .killed, .ended:
            return .none
        }
    }

    private mutating func kill() -> Action {
        switch step {
        case .untouched, .terminating:
            step = .killed
            return .kill
        case .killed, .ended:
            return .none
        }
    }
}
