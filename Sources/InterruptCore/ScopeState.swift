import Dispatch
import Synchronization

/// What a scope keeps under its lock.
///
/// The order of the locks: a scope before the scopes below it, a scope before its bus and before the alarms. Nothing of
/// the user's runs under any of them, except a strategy, a reaction and a note, which say so.
struct ScopeState {
    enum Phase {
        /// The body runs. Then `ending`.
        case open
        /// Nothing new begins; what was begun is waited for, and still interrupted. Then `ended`.
        case ending
        case ended
    }

    var inbox = InterruptInbox()
    var readers: [StreamReader<InterruptSignal>] = []
    var waiters: [Waiter] = []
    var reaction: (@Sendable (InterruptSignal) -> Void)?
    var children: [ObjectIdentifier: InterruptScope] = [:]
    var shield: Shield?
    var schedule: StageSchedule
    var patience: Patience?
    var checkers: [String: CheckerWatch] = [:]
    var savers: [CheckpointSaver] = []
    /// What serves the scope itself.
    var ownTasks: [Int: Task<Void, Never>] = [:]
    var tasks: [Int: ScopeTask] = [:]
    var taskCount = 0
    var cleanup: [CleanupStep] = []
    var timeout: ArmedTimeout?
    var timeoutCount = 0
    var suspension: TimeoutSuspension?
    var phase = Phase.open

    init(shield: Shield?, strategies: [any InterruptStrategy]) {
        (self.shield, schedule) = (shield, StageSchedule(strategies))
    }

    /// Decides and publishes under the lock, which is what keeps the order the same for every reader and every child.
    /// Yielding only queues the element: of others' code only reactions and, of the scopes below, strategies run here.
    ///
    /// - Parameter then: gets what the caller must carry out, once no lock is held.
    mutating func accept(
        _ signal: InterruptSignal,
        in scope: InterruptScope,
        _ then: inout Consequences
    ) -> InterruptInbox.Reception {
        let reception = inbox.receive(signal)
        switch reception {
        case .first, .escalation, .shortening:
            scope.stageNumber.store(signal.stage.rawValue, ordering: .releasing)
            reaction?(signal)
            for waiter in waiters where signal.stage >= waiter.least { then.woken.append(waiter.wakeup) }
            // First those below: who hears of it here finds it in all of them.
            var shielded: [InterruptScope] = []
            for child in children.values where child.inherit(signal, &then) == .kept { shielded.append(child) }
            for reader in readers { reader.continuation.yield(signal) }
            let mustEnd = signal.stage >= .terminate
            scope.bus.publish(
                .accepted(InterruptEvent(run: scope.run, signal: signal)),
                isCancelling: mustEnd
            )
            if mustEnd { saveCheckpoints() }
            for child in shielded {
                guard let section = child.section else { continue }
                let elapsed = child.began.duration(to: .now)
                scope.bus.publish(.uninterruptible(section: section, elapsed: elapsed))
            }
            if reception != .shortening { armPatience(for: signal.stage, in: scope) }
            if mustEnd, !tasks.isEmpty {
                let tasks = tasks.values.map(\.task)
                if scope.executor == nil { then.cancelled += tasks } else { then.cancelledElsewhere += tasks }
            }
        case .late, .known, .passedOver:
            break
        }
        return reception
    }
}

/// What follows from a change once no lock is held. Who is woken or cancelled runs code of its own, which may use the
/// scope, and finds the interrupt in every scope of the tree.
struct Consequences {
    var woken: [Wakeup] = []
    var cancelled: [Task<Void, Never>] = []
    /// Such as may block the thread on which they hear of it.
    var cancelledElsewhere: [Task<Void, Never>] = []

    func carryOut() {
        for wakeup in woken { wakeup.signal() }
        for task in cancelled { task.cancel() }
        cancelElsewhere(cancelledElsewhere)
    }

    /// On the thread of the alarms, which must not run code of others.
    func carryOutAtAlarm() {
        for wakeup in woken { wakeup.signal() }
        cancelElsewhere(cancelled + cancelledElsewhere)
    }
}

/// Somebody who waits for a stage.
final class Waiter: Sendable {
    let least: InterruptStage
    let wakeup = Wakeup()

    init(_ least: InterruptStage) { self.least = least }
}

extension InterruptScope {
    /// Wakes `waiter` for every interrupt from its stage on; at once if there was one.
    func add(_ waiter: Waiter) {
        state.withLock { state in
            state.waiters.append(waiter)
            if let stage = state.inbox.stage, stage >= waiter.least { waiter.wakeup.signal() }
        }
    }

    func remove(_ waiter: Waiter) {
        state.withLock { state in state.waiters.removeAll { $0 === waiter } }
    }
}

/// Cancels on a thread of its own.
package func cancelElsewhere(_ tasks: [Task<Void, Never>]) {
    if tasks.isEmpty { return }
    DispatchQueue(label: "cancel").async { for task in tasks { task.cancel() } }
}
