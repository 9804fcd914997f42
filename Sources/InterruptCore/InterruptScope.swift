import Dispatch
public import Synchronization

/// Work that stops as one: where every source's interrupts for it merge, and where the work asks about them.
///
/// Scopes form a tree. An interrupt of a scope reaches every scope below it; a scope that is made below an interrupted one
/// is born interrupted; an interrupt of a scope never touches the one above it. A scope is safe to use from any thread.
/// Make one with ``withInterruptScope(run:timeout:strategies:_:)``.
public final class InterruptScope: Sendable {
    /// The run this scope belongs to.
    public let run: RunID
    let parent: InterruptScope?
    let began = ContinuousClock.now
    let bus = EventBus()
    /// What the scope above calls it when it cannot stop.
    let section: String?
    /// Where the scope's tasks and steps run; `nil` is where every task runs.
    let executor: (any TaskExecutor)?
    /// Signalled when the work has told how far it is.
    package let progressed = Wakeup()
    private let surfaced = Atomic<Bool>(false)
    @usableFromInline let stageNumber = Atomic<Int>(0)
    /// The address of the name of the checkpoint that was passed last; see ``lastCheckpointName``.
    @usableFromInline let lastCheckpoint = Atomic<UInt>(0)
    let state: Mutex<ScopeState>

    init(
        run: RunID?,
        parent: InterruptScope?,
        shield: Shield? = nil,
        section: String? = nil,
        strategies: [any InterruptStrategy] = [],
        executor: (any TaskExecutor)? = nil
    ) {
        self.section = section
        self.executor = executor ?? parent?.executor
        self.run = run ?? parent?.run ?? .random()
        self.parent = parent
        state = Mutex(ScopeState(shield: shield, strategies: strategies))
        parent?.adopt(self)
    }

    // MARK: What was asked

    /// The hardest stage asked so far, read without a lock; `nil` when nothing was asked.
    public var stage: InterruptStage? { InterruptStage(rawValue: stageNumber.load(ordering: .acquiring)) }

    /// Whether anything was asked at all, read without a lock: the scopes below may have it a moment later.
    public var isInterrupted: Bool { stageNumber.load(ordering: .acquiring) > 0 }

    /// The first interrupt accepted, which keeps reason, message and name.
    public var cause: InterruptSignal? { state.withLock { $0.inbox.cause } }

    /// The interrupts that came after the first and were not harder, in order.
    public var late: [InterruptSignal] { state.withLock { $0.inbox.late } }

    // MARK: Asking

    /// Asks this scope's work, and that of the scopes below it, to stop. Returns at once; idempotent by request id; the
    /// first cause wins. A repetition with the same `id` is ``InterruptInbox/Reception/known`` and changes nothing.
    @discardableResult
    public func interrupt(
        id: RequestID = .random(),
        reason: InterruptReason = .userCancelled,
        message: String? = nil,
        triggeredBy: String? = nil,
        stage: InterruptStage = .terminate,
        savesCheckpoint: Bool = true
    ) -> InterruptInbox.Reception {
        receive(
            InterruptSignal(
                id: id,
                stage: stage,
                reason: reason,
                message: message,
                triggeredBy: triggeredBy,
                savesCheckpoint: savesCheckpoint
            )
        )
    }

    /// Merges a signal of any source into the one stream. Returns at once, and says what the signal came to mean.
    @discardableResult
    public func receive(_ signal: InterruptSignal) -> InterruptInbox.Reception {
        receive(signal) { _ in }
    }

    /// Merges as ``receive(_:)``, and calls `note` with what the signal came to mean, under the same lock: whoever asks the
    /// scope for its cause once the work has ended does not come before the note on what ended it.
    ///
    /// - Parameter note: must return at once and must not use the scope.
    @discardableResult
    package func receive(
        _ signal: InterruptSignal,
        noting note: (InterruptInbox.Reception) -> Void
    ) -> InterruptInbox.Reception {
        change { state, then in
            let reception = state.receive(signal, in: self, &then)
            note(reception)
            return reception
        }
    }

    /// Changes the state under the lock, and carries out after it what follows.
    func change<Result: ~Copyable>(
        _ body: (inout sending ScopeState, inout Consequences) -> sending Result
    ) -> sending Result {
        var then = Consequences()
        let result = state.withLock { state in body(&state, &then) }
        then.carryOut()
        return result
    }

    /// Changes the state when an alarm rings. A lock that somebody holds is waited for elsewhere: the other alarms of the
    /// process do not wait with this one.
    func changeAtAlarm(_ body: @escaping @Sendable (inout ScopeState, inout Consequences) -> Void) {
        var then = Consequences()
        if state.withLockIfAvailable({ state in body(&state, &then) }) == nil {
            DispatchQueue(label: "alarm").async { self.change { state, then in body(&state, &then) } }
        } else {
            then.carryOutAtAlarm()
        }
    }

    // MARK: Hearing of it

    /// The accepted interrupts: the first one, every escalation, and what shortens the grace period; each exactly once
    /// and in order, from the first on also for a subscriber that comes late. Ends when the scope ends.
    public var signals: AsyncStream<InterruptSignal> {
        let (stream, reader) = StreamReader<InterruptSignal>.make()
        let isFinished = state.withLock { state in
            for signal in state.inbox.accepted { reader.continuation.yield(signal) }
            state.readers.removeAll(where: \.isGone)
            if state.phase != .ended { state.readers.append(reader) }
            return state.phase == .ended
        }
        if isFinished { reader.continuation.finish() }
        return stream
    }

    /// What happens in the scope from now on; see ``EventBus/stream()``. Ends when the scope ends.
    public var events: AsyncStream<ScopeEvent> { bus.stream() }

    /// What the work is doing now.
    public var status: WorkStatus { bus.status }

    /// Tells that the work waits, or goes on: `awaiting`, `human_intervention` or `started`. Other states follow from what
    /// happens and are passed over here. Returns at once.
    public func report(_ status: WorkStatus) {
        if [.awaiting, .humanIntervention, .started].contains(status) { bus.publish(.status(status)) }
    }

    /// Tells something to people. Returns at once.
    public func notice(_ text: String) { bus.publish(.notice(text)) }

    /// How many streams of signals are read now.
    var subscriberCount: Int { state.withLock { $0.readers.count { !$0.isGone } } }

    /// Runs `body`, and meanwhile calls `react` with what ``signals`` carries, in the same order: for what must not wait
    /// until a task is scheduled. No call is under way any more when it returns. One reaction at a time.
    ///
    /// - Parameter react: is called on the thread that an interrupt arrives on, under the scope's lock. It must return at
    ///   once and must not use the scope.
    package func reacting<Result>(
        with react: @escaping @Sendable (InterruptSignal) -> Void,
        while body: () async throws -> Result
    ) async rethrows -> Result {
        state.withLock { state in
            for signal in state.inbox.accepted { react(signal) }
            state.reaction = react
        }
        defer { state.withLock { $0.reaction = nil } }
        return try await body()
    }

    // MARK: Surfacing

    /// The only place where an interrupt surfaces in code. Returns at once when nothing was asked at stage 2 or harder.
    ///
    /// - Parameter name: what reports call the place; the function it is in, if nothing is said.
    /// - Throws: ``InterruptedError`` with the first cause, at every call once the work is to end. Stage 1 does not throw:
    ///   what runs may finish.
    @inlinable public func checkpoint(_ name: StaticString = #function) throws(InterruptedError) {
        if !pass(name) { try surface(at: name) }
    }

    /// Passes a checkpoint, unless the work is to end. Two accesses without a lock, and nothing else.
    @inlinable func pass(_ name: StaticString) -> Bool {
        // Stage 2 and harder.
        if stageNumber.load(ordering: .acquiring) >= 2 { return false }
        if name.hasPointerRepresentation {
            lastCheckpoint.store(UInt(bitPattern: name.utf8Start), ordering: .relaxed)
        }
        return true
    }

    /// Apart from ``checkpoint(_:)``, which is to be small where nothing is pending.
    @usableFromInline func surface(at name: StaticString) throws(InterruptedError) {
        noteSurfacing()
        if let cause { throw InterruptedError(cause, at: "\(name)") }
    }

    /// Whether the work has taken notice of an interrupt at stage 2 or harder, here or in a scope below.
    package var hasSurfaced: Bool { surfaced.load(ordering: .acquiring) }

    /// What surfaces here has surfaced for every scope above that was asked as hard, too.
    ///
    /// - Parameter least: stage 1 for work that was cut short by it; others go on at that stage.
    func noteSurfacing(from least: InterruptStage = .terminate) {
        var scope: InterruptScope? = self
        while let current = scope, let stage = current.stage, stage >= least {
            current.surfaced.store(true, ordering: .releasing)
            scope = current.parent
        }
    }

    /// Waits for `duration`, or until the work is to end, whichever is first. An interrupt wakes it at once. A checkpoint.
    ///
    /// - Throws: ``InterruptedError`` when stage 2 or harder was asked before or meanwhile, `CancellationError` when the
    ///   surrounding task was cancelled.
    public func sleep(for duration: Duration, _ name: StaticString = #function) async throws {
        try checkpoint(name)
        let waiter = Waiter(.terminate)
        let alarm = AlarmClock.ofProcess.setAlarm(at: .now + duration.clamped) { waiter.wakeup.signal() }
        add(waiter)
        await waiter.wakeup.wait()
        alarm.cancel()
        remove(waiter)
        try checkpoint(name)
        try Task.checkCancellation()
    }
}
