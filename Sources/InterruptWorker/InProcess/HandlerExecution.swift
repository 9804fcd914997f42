internal import InterruptCore
internal import Synchronization

/// One run of a handler: its scope below the run's, its threads, and the one task that nobody can be sure to end.
///
/// It reacts as a process does: stage 2 arrives in the scope, and after the grace period the task is cancelled and stage 3
/// arrives; stage 3 does so at once.
final class HandlerExecution: Sendable {
    private struct State {
        var ladder = TeardownLadder<ContinuousClock.Instant>()
        var killAt: ContinuousClock.Instant?
        var isForced = false
        var askedAt: ContinuousClock.Instant?
        var task: Task<Void, Never>?
    }

    /// The scope that the job is given.
    let scope: InterruptScope
    private let outer: InterruptScope
    private let threads: JobThreads
    private let state = Mutex(State())
    private let asked = Wakeup()
    private let exit = FirstAnswer<HandlerOutcome.Exit?>()

    init(below outer: InterruptScope, threads count: Int) {
        threads = JobThreads(count: count)
        scope = InterruptScope(below: outer, on: threads)
        self.outer = outer
    }

    /// Starts the handler. Returns at once.
    func start(_ handler: @escaping JobRegistry.Handler, input: String) {
        // Awaited in `ended`, but not longer than the worker itself lasts: nothing ends a thread that does not come back,
        // and then the worker must end without it.
        let task = Task(executorPreference: threads) { [self] in
            exit.give(await run(handler, input))
        }
        state.withLock { $0.task = task }
    }

    private func run(_ handler: JobRegistry.Handler, _ input: String) async -> HandlerOutcome.Exit {
        do {
            try await scope.contain { scope in
                try scope.checkpoint("before the job")
                try await handler(input, scope)
            }
            return .returned
        } catch {
            return scope.isInterruption(error) ? .threwInterruption : .threw("\(error)")
        }
    }

    /// Returns how the handler was left, once its scope has ended too; `nil` when it was given up.
    func ended() async -> HandlerOutcome.Exit? { await exit.wait() }

    /// Waits for it no longer.
    func giveUp() { exit.give(nil) }

    /// How long ago it was asked to end.
    var askedFor: Duration { state.withLock { $0.askedAt }?.duration(to: .now) ?? .zero }

    /// Takes an interrupt in. Called under the outer scope's lock: it only notes what is to be done.
    func interrupt(_ stage: InterruptStage, gracePeriod: Duration) {
        state.withLock { state in
            if stage >= .terminate { state.askedAt = state.askedAt ?? .now }
            switch state.ladder.interrupt(stage: stage, gracePeriod: gracePeriod, now: .now) {
            case .none: break
            case .terminate(let killAt), .shorten(let killAt), .extend(let killAt, _): state.killAt = killAt
            case .kill: state.isForced = true
            }
        }
        asked.signal()
    }

    /// Waits until the job is to be forced, and forces it; returns early when the surrounding task is cancelled.
    func force() async {
        while !Task.isCancelled {
            let (isForced, killAt, task) = state.withLock { state in
                if state.ladder.deadlineReached(now: .now) == .kill { state.isForced = true }
                return (state.isForced, state.killAt, state.task)
            }
            if isForced {
                if outer.stage != .kill { outer.receive(.gracePeriodOver(after: outer.cause)) }
                // Elsewhere, because a job's own code hears of it there and then.
                cancelElsewhere([task].compactMap(\.self))
                return
            }
            if let killAt { await asked.wait(until: killAt) } else { await asked.wait() }
        }
    }
}

extension InterruptSignal {
    /// What arrives in the scope of a job that did not end in time.
    fileprivate static func gracePeriodOver(after cause: InterruptSignal?) -> InterruptSignal {
        InterruptSignal(
            stage: .kill,
            reason: cause?.reason ?? .custom,
            message: "the grace period is over",
            triggeredBy: cause?.triggeredBy,
            savesCheckpoint: cause?.savesCheckpoint ?? true
        )
    }
}
