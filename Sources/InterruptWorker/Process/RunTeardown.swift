internal import Dispatch
internal import Glibc
internal import InterruptCore
internal import Synchronization

/// Carries out what ``TeardownLadder`` decides on a run's process group, and keeps what ``JobOutcome`` needs to know.
final class RunTeardown: Sendable {
    private struct State: ~Copyable {
        let leaderHandlers: SignalHandlers
        var ladder = TeardownLadder<ContinuousClock.Instant>()
        var sent: JobOutcome.SentSignals = []
        var handledTerminate = false
        var watch: DescriptorWatch?
        var isGiveUpArmed = false
        var hasGivenUp = false

        init(leader: pid_t) { leaderHandlers = SignalHandlers(of: leader) }
    }

    private let group: ProcessGroup
    private let giveUpAfter: Duration
    private let state: Mutex<State>

    /// The teardown of `group`, which may outlive SIGKILL by `giveUpAfter` before the wait for it ends.
    init(of group: ProcessGroup, giveUpAfter: Duration) {
        self.group = group
        state = Mutex(State(leader: group.leader))
        self.giveUpAfter = giveUpAfter
    }

    /// Acts on an interrupt at once, and returns the instant at which to call ``deadlineReached()``, if any.
    func interrupt(stage: InterruptStage, gracePeriod: Duration) -> ContinuousClock.Instant? {
        act { $0.interrupt(stage: stage, gracePeriod: gracePeriod, now: .now) }
    }

    /// Forces the end if the grace period is over.
    func deadlineReached() {
        _ = act { $0.deadlineReached(now: .now) }
    }

    /// Stops the tree, or lets it go on; `false` when it is ending, and nothing was done.
    func freeze(_ isFrozen: Bool) -> Bool {
        state.withLock { state in
            guard state.sent.isEmpty, !group.hasLeaderExited else { return false }
            group.send(isFrozen ? SIGSTOP : SIGCONT)
            return true
        }
    }

    /// Notes that the leader has exited, and says whether what is left of its tree keeps its grace period.
    func leaderExited() -> Bool {
        state.withLock { state in
            if state.sent.isEmpty { state.ladder.treeEnded() }
            return !state.sent.isEmpty
        }
    }

    /// Waits for each member of the group that still runs, until none is left; the survivors of SIGKILL otherwise.
    ///
    /// - Parameter isForced: whether SIGKILL was sent, so that the wait is bounded.
    func waitForMembers(isForced: Bool) async -> [ProcessStatus] {
        if isForced { armGiveUp() }
        while true {
            let members = group.liveMembers()
            guard let member = members.first else { return [] }
            guard let descriptor = ProcessGroup.openDescriptor(of: member.pid) else {
                if state.withLock({ $0.hasGivenUp }) { return members }
                // Gone meanwhile; or no descriptor is free, when looking again a little later is all that is left.
                try? await Task.sleep(for: .milliseconds(5))  // cancelled: look again at once
                continue
            }
            defer { close(descriptor) }
            guard await exited(descriptor) else { return members }
        }
    }

    /// Waits until the process behind the pidfd has exited; `false` when SIGKILL did not help in time.
    func exited(_ descriptor: Int32) async -> Bool {
        let watch = DescriptorWatch(descriptor)
        let hasGivenUp = state.withLock { state in
            state.watch = watch
            return state.hasGivenUp
        }
        if hasGivenUp { watch.stop() }
        await watch.readable()
        return state.withLock { state in
            state.watch = nil
            return !state.hasGivenUp
        }
    }

    /// How the run ended, given how its leader did.
    func outcome(_ status: JobOutcome.WaitStatus, wasInterruptAsked: Bool) -> JobOutcome {
        state.withLock { state in
            JobOutcome(
                status: status,
                sent: state.sent,
                handledTerminate: state.handledTerminate,
                wasInterruptAsked: wasInterruptAsked
            )
        }
    }

    /// Decides and acts under one lock: no exit may be noted between looking at the leader and signalling it.
    private func act(
        _ decide: (inout TeardownLadder<ContinuousClock.Instant>) -> TeardownLadder<ContinuousClock.Instant>.Action
    ) -> ContinuousClock.Instant? {
        let (killAt, isKilled) = state.withLock { state in
            switch decide(&state.ladder) {
            case .none:
                return (ContinuousClock.Instant?.none, false)
            case .terminate(let killAt):
                return (terminate(&state) ? killAt : nil, false)
            case .shorten(let killAt):
                return (killAt, false)
            case .kill:
                return (nil, forceEnd(&state))
            }
        }
        if isKilled { armGiveUp() }
        return killAt
    }

    private func terminate(_ state: inout State) -> Bool {
        guard !group.hasLeaderExited else {
            state.ladder.treeEnded()
            return false
        }
        state.handledTerminate = state.leaderHandlers.contains(SIGTERM)
        group.send(SIGTERM)
        group.send(SIGCONT)  // a stopped process notices only now
        state.sent.insert(.terminate)
        return true
    }

    private func forceEnd(_ state: inout State) -> Bool {
        if !group.hasLeaderExited {
            state.sent.insert(.kill)
        } else if state.sent.isEmpty {
            state.ladder.treeEnded()  // ended by itself: what is left of it is ended by the one who waits
            return false
        }
        group.send(SIGKILL)
        return true
    }

    private func armGiveUp() {
        let isFirst = state.withLock { state in
            defer { state.isGiveUpArmed = true }
            return !state.isGiveUpArmed
        }
        guard isFirst else { return }
        DispatchQueue.global().asyncAfter(deadline: .now() + giveUpAfter.dispatchInterval) { [weak self] in
            self?.giveUp()
        }
    }

    private func giveUp() {
        let watch = state.withLock { state in
            state.hasGivenUp = true
            return state.watch
        }
        watch?.stop()
    }
}

extension Duration {
    /// The same length for Dispatch, in whole nanoseconds.
    var dispatchInterval: DispatchTimeInterval {
        let (seconds, attoseconds) = components
        return .nanoseconds(Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000))
    }
}
