internal import Glibc
internal import InterruptCore
internal import Synchronization
internal import SystemPackage

/// Carries out what ``TeardownLadder`` decides on a run's tree, and keeps what ``JobOutcome`` needs to know.
final class RunTeardown: Sendable {
    /// What became of the start.
    enum Start {
        case running(RunLeader)
        case failed(LaunchedTree.Event.Step, Errno)
        /// Not known: the launcher has gone, or the start outlives SIGKILL.
        case unknown
    }

    /// How it is known that nothing of the tree is left.
    enum End: Equatable {
        case empty
        /// The supervisor was killed: what was left was ended, but nobody knows how the leader ended.
        case lost
        /// It is not known: the launcher has gone.
        case abandoned
        /// It is not known, and not waited for any more.
        case letGo
    }

    /// What became of a freeze or a thaw.
    enum Freezing: Equatable {
        case done
        case failed(Errno)
        /// The tree is ending, or asked to: it is not frozen any more.
        case ending
    }

    private struct State {
        var leader: RunLeader?
        var leaderIdentity: ProcessIdentity?
        var supervisor: pid_t?
        /// Asked to end before it runs its program: it is told then.
        var isTerminateDue = false
        var ladder = TeardownLadder<ContinuousClock.Instant>()
        var sent: JobOutcome.SentSignals = []
        var handledTerminate = false
        var status: JobOutcome.WaitStatus?
        var memoryKills: Int?
        var isFenced = false
        /// It stands still because that was asked last, maybe before its program.
        var isFreezeAsked = false
        /// From when the tree was asked to end, it is not frozen any more.
        var isInterrupted = false
        /// Nothing is told of it any more.
        var isOver = false
        /// At the end of the grace period.
        var deadline: Alarm?
        /// When SIGKILL should have helped.
        var giveUp: Alarm?
        var freezing: [FirstAnswer<Errno?>] = []

        var isEnding: Bool { isInterrupted || isOver || status != nil }
    }

    private let tree: LaunchedTree
    private let giveUpAfter: Duration
    private let state = Mutex(State())
    private let start = FirstAnswer<Start>()
    private let end = FirstAnswer<End>()
    private let isStuck = FirstAnswer<Bool>()

    /// The teardown of `tree`, which may outlive SIGKILL by `giveUpAfter` before that is said.
    init(of tree: LaunchedTree, giveUpAfter: Duration) {
        self.tree = tree
        self.giveUpAfter = giveUpAfter
        tree.listen { self.handle($0) }  // until the last event
    }

    /// Waits until the leader runs its program, or cannot.
    func started() async -> Start { await start.wait() }

    /// The small process above the leader, where there is one, and while the run goes on: then it may have another run.
    var supervisor: pid_t? { state.withLock { $0.isOver ? nil : $0.supervisor } }

    /// By which the leader's session is found when its supervisor has gone; `nil` where a cgroup has the tree.
    var leaderIdentity: ProcessIdentity? { state.withLock { $0.leaderIdentity } }

    /// Waits until nothing of the tree is left. Not ended by cancellation.
    func ended() async -> End { await end.wait() }

    /// Waits until SIGKILL has not helped in time, or nothing of the tree is left: then `false`.
    func outlivesKill() async -> Bool { await isStuck.wait() }

    /// Waits no more for the end of the tree. The launcher does.
    func letGo() {
        tree.letGo()
        finish(.letGo)
    }

    /// Acts on an interrupt at once, and at the end of the grace period on that.
    ///
    /// - Parameters:
    ///   - moreTime: how much more than the grace period it may have if it asks.
    ///   - announce: called before any signal is sent, with the instant; not called when the interrupt changes nothing, nor
    ///     for a kill, which leaves nobody who could read it.
    func interrupt(
        stage: InterruptStage,
        gracePeriod: Duration,
        moreTime: Duration = .zero,
        announce: (ContinuousClock.Instant?) -> Void = { _ in }
    ) {
        act { ladder in
            let action = ladder.interrupt(stage: stage, gracePeriod: gracePeriod, moreTime: moreTime, now: .now)
            switch action {
            case .terminate(let killAt), .shorten(let killAt), .extend(let killAt, _): announce(killAt)
            case .kill: break
            case .none: if stage == .drain { announce(nil) }
            }
            return action
        }
    }

    /// Gives the run longer before it is forced, as far as it may have that: until when, and how much more than it was
    /// asked first. `nil` is no longer than it has.
    func extend(by length: Duration) -> (killAt: ContinuousClock.Instant, total: Duration)? {
        state.withLock { state in
            guard !state.isOver, case .extend(let killAt, let total) = state.ladder.extend(by: length, now: .now)
            else { return nil }
            setDeadline(killAt, &state)
            return (killAt, total)
        }
    }

    private func setDeadline(_ instant: ContinuousClock.Instant, _ state: inout State) {
        state.deadline?.cancel()
        if state.isOver { return }
        state.deadline = AlarmClock.ofProcess.setAlarm(at: instant) { [weak self] in
            self?.act { $0.deadlineReached(now: .now) }
        }
    }

    /// Has the tree killed when `fence` is reached, wherever that is moved to.
    func follow(_ fence: RunFence?) {
        fence?.follow { [tree] in tree.moveFence(to: $0) }
    }

    /// Freezes the tree or lets it go on; returns when that is so. A freeze takes as long as somebody hangs in the kernel;
    /// when the tree is let go on meanwhile, it has failed.
    ///
    /// - Parameter meanwhile: runs from when it was asked, and is cancelled when that has been answered.
    func freeze(_ isFrozen: Bool, meanwhile: @Sendable () async -> Void = {}) async -> Freezing {
        guard let answer = ask(toFreeze: isFrozen) else { return .ending }
        let errno: Errno?
        do {
            async let _: Void = meanwhile()
            errno = await answer.wait()
        }
        return state.withLock { state in
            if state.isEnding, isFrozen || errno != nil { return .ending }
            // Let go on just when it was frozen.
            if isFrozen, !state.isFreezeAsked { return .failed(.canceled) }
            return errno.map { .failed($0) } ?? .done
        }
    }

    /// Begins to freeze the tree, or to let it go on. Returns at once, with what will tell of it; `nil` when it is ending.
    @discardableResult
    func ask(toFreeze isFrozen: Bool) -> FirstAnswer<Errno?>? {
        state.withLock { state in
            if state.isEnding { return nil }
            let answer = FirstAnswer<Errno?>()
            state.freezing.append(answer)
            state.isFreezeAsked = isFrozen
            tree.ask(isFrozen ? .freeze : .thaw)
            return answer
        }
    }

    /// How the run ended; `nil` when that is not known.
    func outcome(wasInterruptAsked: Bool) -> JobOutcome? {
        state.withLock { state in
            guard let status = state.status else { return nil }
            return JobOutcome(
                status: status,
                sent: state.sent,
                handledTerminate: state.handledTerminate,
                memoryKills: state.memoryKills,
                wasFenced: state.isFenced,
                wasInterruptAsked: wasInterruptAsked
            )
        }
    }

    private func act(
        _ decide: (inout TeardownLadder<ContinuousClock.Instant>) -> TeardownLadder<ContinuousClock.Instant>.Action
    ) {
        state.withLock { state in
            switch decide(&state.ladder) {
            case .none: break
            case .terminate(let killAt):
                if state.leader == nil {
                    state.isTerminateDue = true
                    state.isInterrupted = true
                    // Else whoever has stopped itself would go on, and end, before it is told.
                    if state.isFreezeAsked { tree.ask(.thaw) }
                } else if !terminate(&state) {
                    return setGiveUp(&state)
                }
                setDeadline(killAt, &state)
            case .shorten(let killAt), .extend(let killAt, _): setDeadline(killAt, &state)
            case .kill:
                forceEnd(&state)
                setGiveUp(&state)
            }
        }
    }

    /// The leader right here, the others by the launcher: what most jobs consist of hears of it without another process
    /// having to wake up. Looking and signalling are one step to whoever notes an exit.
    private func terminate(_ state: inout State) -> Bool {
        let isHandled = state.leader?.handles(SIGTERM) ?? false
        guard let leader = state.leader, !leader.hasExited else {
            // It has ended by itself: what is left of it is ended, whether or not its end can be told yet.
            state.isInterrupted = true
            state.ladder.treeEnded()
            tree.ask(.kill)
            return false
        }
        state.isInterrupted = true
        state.handledTerminate = isHandled
        Failpoint.signal.reached()
        let isTold = leader.send(SIGTERM)
        leader.send(SIGCONT)  // a stopped process notices only now
        state.sent.insert(.terminate)
        tree.ask(isTold ? .terminate : .terminateAll)
        return true
    }

    private func forceEnd(_ state: inout State) {
        Failpoint.escalate.reached()
        state.isInterrupted = true
        state.isTerminateDue = false
        if let leader = state.leader {
            if !leader.hasExited {
                leader.killGroup()
                state.sent.insert(.kill)
            }
        } else {
            state.sent.insert(.kill)  // before its program has begun
        }
        tree.ask(.kill)
    }

    private func handle(_ event: LaunchedTree.Event) {
        switch event {
        case .started(let leader, let supervisor):
            begin(leader, supervisor)
            start.give(.running(leader))
        case .failed(let step, let errno):
            start.give(.failed(step, errno))
            finish(.empty)
        case .exited(let status, let memoryKills, let isEmpty, let isFenced):
            state.withLock { $0.isFenced = isFenced }
            leaderExited(status, memoryKills, isEmpty)
        case .frozen(let errno), .thawed(let errno): answerFreezing(errno)
        case .empty: finish(.empty)
        case .lost: finish(.lost)
        case .abandoned: finish(.abandoned)
        }
    }

    private func begin(_ leader: RunLeader, _ supervisor: pid_t?) {
        let identity = supervisor == nil ? nil : leader.identity
        state.withLock { state in
            (state.leader, state.leaderIdentity, state.supervisor) = (leader, identity, supervisor)
            if state.isTerminateDue, !terminate(&state) { setGiveUp(&state) }
        }
    }

    /// What a leader leaves behind that ended by itself is ended at once; else it keeps its grace period.
    private func leaderExited(_ status: JobOutcome.WaitStatus, _ memoryKills: Int?, _ isEmpty: Bool) {
        state.withLock { state in
            state.status = status
            state.memoryKills = memoryKills
            if isEmpty { state.ladder.treeEnded() }
            guard !isEmpty, state.sent.isEmpty else { return }
            state.ladder.treeEnded()
            tree.ask(.kill)
            setGiveUp(&state)
        }
        if isEmpty { finish(.empty) }
    }

    private func answerFreezing(_ errno: Errno?) {
        let answer = state.withLock { $0.freezing.isEmpty ? nil : $0.freezing.removeFirst() }
        answer?.give(errno)
    }

    private func finish(_ how: End) {
        start.give(.unknown)  // unless it has started
        state.withLock { state in
            state.isOver = true
            state.deadline?.cancel()
            state.giveUp?.cancel()
        }
        while let answer = state.withLock({ $0.freezing.popLast() }) { answer.give(.noSuchProcess) }
        isStuck.give(false)
        end.give(how)
    }

    private func setGiveUp(_ state: inout State) {
        if state.giveUp != nil || state.isOver { return }
        state.giveUp = AlarmClock.ofProcess.setAlarm(at: .now + giveUpAfter) { [start, isStuck] in
            start.give(.unknown)  // unless it has started
            isStuck.give(true)
        }
    }
}
