/// What strategies have made of the interrupts of one scope.
struct StageSchedule {
    /// What was asked when an interrupt was planned.
    private struct Asked {
        var stage: InterruptStage
        var gracePeriod: Duration?

        init(_ signal: InterruptSignal) { (stage, gracePeriod) = (signal.stage, signal.gracePeriod) }

        /// Whether that was as hard, and left no more time.
        func covers(_ signal: InterruptSignal) -> Bool {
            guard signal.stage == stage, let shorter = signal.gracePeriod else { return signal.stage <= stage }
            return gracePeriod.map { $0 <= shorter } ?? false
        }
    }

    let strategies: [any InterruptStrategy]
    /// Each interrupt as it was planned or arises by itself: one and the same may arrive several times, and harder.
    private var planned: [RequestID: Asked] = [:]
    /// The steps that are still to come, and some that have been.
    var alarms: [Alarm] = []

    init(_ strategies: [any InterruptStrategy]) { self.strategies = strategies }

    /// What follows from an interrupt; `nil` if that was planned before.
    mutating func steps(for signal: InterruptSignal) -> [StageStep]? {
        if planned[signal.id]?.covers(signal) ?? false { return nil }
        planned[signal.id] = Asked(signal)
        return signal.steps(through: strategies)
    }

    /// What arises at a later step is not asked about once more.
    mutating func expect(_ signal: InterruptSignal) {
        if !(planned[signal.id]?.covers(signal) ?? false) { planned[signal.id] = Asked(signal) }
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
        let reception = accept(signal.arriving(at: first), in: scope, &then)
        // What it asks for now may have been there; the request itself was not.
        return reception == .known ? .late : reception
    }
}
