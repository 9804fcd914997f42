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
        /// Come back only at `killAt`, which is `total` later than was asked first.
        case extend(killAt: Instant, total: Duration)
        /// Force the tree to end now.
        case kill
    }

    private enum Step {
        /// Nothing was asked. May become terminating, killed, ended.
        case untouched
        /// Asked to end by `killAt`. May become killed, ended.
        case terminating(Deadline)
        /// Forced. May become ended.
        case killed
        /// No process is left. Final.
        case ended
    }

    /// When the tree is forced.
    private struct Deadline {
        var killAt: Instant
        /// As it was asked.
        var asked: Instant
        /// How far the run itself may move it.
        var latest: Instant
    }

    private var step = Step.untouched

    /// An interrupt was accepted for the run.
    ///
    /// - Parameter moreTime: how much more than the grace period the run may have if it asks for it.
    mutating func interrupt(
        stage: InterruptStage,
        gracePeriod: Duration,
        moreTime: Duration = .zero,
        now: Instant
    ) -> Action {
        switch stage {
        case .drain: .none
        case .terminate where gracePeriod > .zero: terminate(killAt: now.advanced(by: gracePeriod), moreTime)
        case .terminate, .kill: kill()
        }
    }

    /// The run asks for `length` from now on. It gets what is left of what it may have, if that is more than it has.
    mutating func extend(by length: Duration, now: Instant) -> Action {
        guard case .terminating(var deadline) = step else { return .none }
        let killAt = min(now.advanced(by: length), deadline.latest)
        guard killAt > deadline.killAt else { return .none }
        deadline.killAt = killAt
        step = .terminating(deadline)
        return .extend(killAt: killAt, total: deadline.asked.duration(to: killAt))
    }

    /// The instant `killAt` of an earlier answer was reached, or something that calls itself so.
    mutating func deadlineReached(now: Instant) -> Action {
        switch step {
        case .terminating(let deadline) where deadline.killAt <= now: kill()
        case .untouched, .terminating, .killed, .ended: .none
        }
    }

    /// No process of the tree is left.
    mutating func treeEnded() {
        step = .ended
    }

    private mutating func terminate(killAt: Instant, _ moreTime: Duration) -> Action {
        switch step {
        case .untouched:
            step = .terminating(Deadline(killAt: killAt, asked: killAt, latest: killAt.advanced(by: moreTime)))
            return .terminate(killAt: killAt)
        case .terminating(let deadline) where killAt < deadline.killAt:
            // Somebody wants it sooner: the run has no say in that.
            step = .terminating(Deadline(killAt: killAt, asked: killAt, latest: killAt))
            return .shorten(killAt: killAt)
        case .terminating(var deadline):
            deadline.latest = min(deadline.latest, killAt.advanced(by: moreTime))
            step = .terminating(deadline)
            return .none
        case .killed, .ended:
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
