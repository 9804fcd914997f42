/// What strategies have made of the interrupts of one scope.
struct StageSchedule {
    let strategies: [any InterruptStrategy]
    /// The stage at which each interrupt was planned or arises by itself: one and the same may arrive several times.
    private var planned: [RequestID: InterruptStage] = [:]
    /// The steps that are still to come, and some that have been.
    var alarms: [Alarm] = []

    init(_ strategies: [any InterruptStrategy]) { self.strategies = strategies }

    /// What follows from an interrupt; `nil` if that was planned before.
    mutating func steps(for signal: InterruptSignal) -> [StageStep]? {
        if let stage = planned[signal.id], stage >= signal.stage { return nil }
        planned[signal.id] = signal.stage
        return signal.steps(through: strategies)
    }

    /// What arises at a later step is not asked about once more.
    mutating func expect(_ signal: InterruptSignal) {
        planned[signal.id] = max(planned[signal.id] ?? signal.stage, signal.stage)
    }
}

extension ScopeState {
    /// Takes an interrupt in as the scope's strategies have it: at once, later, or both.
    mutating func receive(
        _ signal: InterruptSignal,
        in scope: InterruptScope,
        _ then: inout Consequences
    ) -> InterruptInbox.Reception {
        if schedule.strategies.isEmpty { return accept(signal, in: scope, &then) }
        guard let steps = schedule.steps(for: signal) else { return .known }
        guard let first = steps.first else {
            scope.bus.publish(.passedOver(signal))
            return .passedOver
        }
        for step in steps.dropFirst() where phase != .ended {
            let later = signal.arriving(at: step)
            schedule.expect(later)
            schedule.alarms.append(
                AlarmClock.ofProcess.setAlarm(at: .now + step.delay) {
                    scope.changeAtAlarm { state, then in
                        if state.phase != .ended { _ = state.accept(later, in: scope, &then) }
                    }
                }
            )
        }
        return accept(signal.arriving(at: first), in: scope, &then)
    }
}
