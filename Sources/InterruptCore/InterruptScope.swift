import Synchronization

/// Work that stops as one: where every source's interrupts for one run merge, and where the work asks about them.
///
/// A scope is safe to use from any thread. Make one with ``withInterruptScope(run:timeout:_:)``.
public final class InterruptScope: Sendable {
    /// The run this scope belongs to.
    public let run: RunID
    private let began = ContinuousClock.now
    private let stageNumber = Atomic<Int>(0)
    private let state = Mutex(State())
    private let timeoutChanged = Wakeup()

    fileprivate struct State {
        var inbox = InterruptInbox()
        var subscribers: [Subscriber] = []
        var reaction: (@Sendable (InterruptSignal) -> Void)?
        var timeout: Timeout?
        var isFinished = false
    }

    /// A stream that somebody reads, until `isGone`.
    fileprivate final class Subscriber: Sendable {
        let continuation: AsyncStream<InterruptSignal>.Continuation
        let isGone = Atomic<Bool>(false)

        init(_ continuation: AsyncStream<InterruptSignal>.Continuation) {
            self.continuation = continuation
        }
    }

    fileprivate struct Timeout {
        var deadline: ContinuousClock.Instant
        var message: String
    }

    fileprivate init(run: RunID) {
        self.run = run
    }

    /// The hardest stage asked so far, read without a lock; `nil` when nothing was asked.
    public var stage: InterruptStage? { InterruptStage(rawValue: stageNumber.load(ordering: .acquiring)) }

    /// Whether anything was asked at all, read without a lock.
    public var isInterrupted: Bool { stage.isInterrupted }

    /// The first interrupt accepted, which keeps reason, message and name.
    public var cause: InterruptSignal? { state.withLock { $0.inbox.cause } }

    /// The interrupts that came after the first and were not harder, in order.
    public var late: [InterruptSignal] { state.withLock { $0.inbox.late } }

    /// How many streams are subscribed now.
    var subscriberCount: Int { state.withLock { $0.subscribers.count { !$0.isGone.load(ordering: .acquiring) } } }

    /// Asks this scope's work to stop. Returns at once; idempotent by request id; the first cause wins.
    ///
    /// - Parameter id: a repetition with the same one is ``InterruptInbox/Reception/known`` and changes nothing.
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
        state.withLock { state in
            let reception = state.receive(signal, publishing: stageNumber)
            note(reception)
            return reception
        }
    }

    /// The accepted interrupts: the first one, every escalation, and what shortens the grace period; each exactly once
    /// and in order, from the first on also for a subscriber that comes late. Ends when the scope ends.
    public var signals: AsyncStream<InterruptSignal> {
        let (stream, continuation) = AsyncStream.makeStream(of: InterruptSignal.self)
        let subscriber = Subscriber(continuation)
        // Called under the lock of a task that is being cancelled, so it must take none: the next subscriber clears up.
        continuation.onTermination = { _ in subscriber.isGone.store(true, ordering: .releasing) }
        let isFinished = state.withLock { state in
            for signal in state.inbox.accepted { continuation.yield(signal) }
            state.subscribers.removeAll { $0.isGone.load(ordering: .acquiring) }
            if !state.isFinished { state.subscribers.append(subscriber) }
            return state.isFinished
        }
        if isFinished { continuation.finish() }
        return stream
    }

    /// What ``signals`` carries, each with the run it was accepted for: for who listens to several scopes at once.
    public var events: some AsyncSequence<InterruptEvent, Never> & Sendable {
        signals.map { [run] signal in InterruptEvent(run: run, signal: signal) }
    }

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

    /// The only place where an interrupt surfaces in code. Returns at once when nothing was asked at stage 2 or harder.
    ///
    /// - Throws: ``InterruptedError`` with the first cause, at every call once the work is to end. Stage 1 does not throw:
    ///   what runs may finish.
    public func checkpoint() throws(InterruptedError) {
        guard stage.shouldTerminateActiveTasks, let cause else { return }
        throw InterruptedError(cause)
    }

    /// Waits for `duration`, or until the work is to end, whichever is first. An interrupt wakes it at once.
    ///
    /// - Throws: ``InterruptedError`` when stage 2 or harder was asked before or meanwhile, `CancellationError` when the
    ///   surrounding task was cancelled.
    public func sleep(for duration: Duration) async throws {
        try checkpoint()
        let signals = signals
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await Task.sleep(for: duration, clock: .continuous) }
            group.addTask {
                for await signal in signals where signal.stage >= .terminate { return }
                try Task.checkCancellation()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
        try checkpoint()
    }

    /// Interrupts the scope with reason `timeout` once `duration` has passed since the scope began. Replaces an earlier
    /// timeout; a duration that has passed already fires at once.
    ///
    /// - Parameters:
    ///   - duration: longer than ten years counts as ten years.
    ///   - message: `nil` is "Execution exceeded {n}s timeout".
    public func setTimeout(_ duration: Duration, message: String? = nil) {
        let message = message ?? "Execution exceeded \(duration.secondsText)s timeout"
        let deadline = began + min(duration, .longestAccepted)
        state.withLock { $0.timeout = Timeout(deadline: deadline, message: message) }
        timeoutChanged.signal()
    }

    /// Takes the timeout back. Once this has returned it does not fire any more.
    public func cancelTimeout() {
        state.withLock { $0.timeout = nil }
        timeoutChanged.signal()
    }

    /// Waits for each deadline in turn until its task is cancelled; a child task of `withInterruptScope`.
    fileprivate func watchTimeout() async {
        while !Task.isCancelled {
            guard let deadline = state.withLock({ $0.timeout?.deadline }) else {
                await timeoutChanged.wait()
                continue
            }
            await timeoutChanged.wait(until: deadline)
            let now = ContinuousClock.now
            // Taking the due timeout and merging its signal are one step, so that it cannot fire after `cancelTimeout`.
            state.withLock { state in
                guard let timeout = state.timeout, timeout.deadline <= now else { return }
                state.timeout = nil
                let signal = InterruptSignal(
                    reason: .timeout,
                    message: timeout.message,
                    triggeredBy: "timeout_monitor",
                    source: .timeout
                )
                _ = state.receive(signal, publishing: stageNumber)
            }
        }
    }

    fileprivate func finish() {
        let subscribers = state.withLock { state in
            state.isFinished = true
            defer { state.subscribers = [] }
            return state.subscribers
        }
        for subscriber in subscribers { subscriber.continuation.finish() }
    }
}

extension InterruptScope.State {
    /// Decides and publishes under the lock, which is what keeps every subscriber's order the same. Yielding only queues
    /// the element: of a subscriber's code only the reaction runs here.
    fileprivate mutating func receive(
        _ signal: InterruptSignal,
        publishing stageNumber: borrowing Atomic<Int>
    ) -> InterruptInbox.Reception {
        let reception = inbox.receive(signal)
        switch reception {
        case .first, .escalation, .shortening:
            stageNumber.store(signal.stage.rawValue, ordering: .releasing)
            reaction?(signal)
            for subscriber in subscribers { subscriber.continuation.yield(signal) }
        case .late, .known:
            break
        }
        return reception
    }
}

/// Runs `body` in a new scope and returns its result. The scope's streams end when `body` has returned.
///
/// - Parameters:
///   - run: the id under which the scope's interrupts are known.
///   - timeout: interrupts the scope with reason `timeout` when `body` is still running after this long.
public func withInterruptScope<Result>(
    run: RunID = .random(),
    timeout: Duration? = nil,
    _ body: (InterruptScope) async throws -> Result
) async rethrows -> Result {
    let scope = InterruptScope(run: run)
    if let timeout { scope.setTimeout(timeout) }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await scope.watchTimeout() }
        defer {
            scope.finish()
            group.cancelAll()
        }
        return try await body(scope)
    }
}
