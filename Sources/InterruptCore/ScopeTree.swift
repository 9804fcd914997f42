import Synchronization

/// How long a scope keeps what is asked of the scopes above it from its own work, and what it has kept so far.
struct Shield {
    /// From the first signal that is kept.
    let limit: Duration
    /// In the order of their arrival.
    var kept: [InterruptSignal] = []
    var alarm: Alarm?
}

extension InterruptScope {
    /// What became of a signal of the parent's.
    enum Inheritance {
        case taken
        /// By a shield, for now.
        case kept
    }

    /// Takes a child in, which gets what was accepted so far, and from now on what follows.
    func adopt(_ child: InterruptScope) {
        change { state, then in
            for signal in state.inbox.accepted { _ = child.inherit(signal, &then) }
            if state.phase != .ended { state.children[ObjectIdentifier(child)] = child }
        }
    }

    /// Takes what was accepted by the parent, unless a shield keeps it. Stage 3 brings every shield down.
    func inherit(_ signal: InterruptSignal, _ then: inout Consequences) -> Inheritance {
        state.withLock { state in
            guard let shield = state.shield else {
                _ = state.receive(signal, in: self, &then)
                return .taken
            }
            state.shield?.kept.append(signal)
            if signal.stage == .kill {
                state.lowerShield(in: self, &then)
                return .taken
            }
            if shield.alarm == nil {
                state.shield?.alarm = AlarmClock.ofProcess.setAlarm(at: .now + shield.limit) {
                    self.changeAtAlarm { state, then in state.lowerShield(in: self, &then) }
                }
            }
            return .kept
        }
    }

    /// Ends the scope: first those who ask, then those who work, the checkpoints, the clean-up, then those who listen. An
    /// interrupt that comes meanwhile still arrives.
    ///
    /// - Parameter status: how the work ended.
    func finish(_ status: WorkStatus) async {
        let ending = state.withLock { state in
            state.phase = .ending
            defer { (state.timeout, state.patience, state.checkers, state.cleanup) = (nil, nil, [:], []) }
            return state
        }
        ending.timeout?.cancel()
        ending.patience?.alarm?.cancel()
        for checker in ending.checkers.values { checker.clear() }
        for task in ending.ownTasks.values { task.cancel() }
        for task in ending.ownTasks.values { await task.value }
        if !ending.tasks.isEmpty { await end(ending.tasks.values.map { $0 }) }
        var checkpoint: CheckpointOutcome?
        for saver in ending.savers { checkpoint = await settle(saver, status) ?? checkpoint }
        if !ending.cleanup.isEmpty { await cleanUp(ending.cleanup) }
        let ended = state.withLock { state in
            state.phase = .ended
            defer {
                (state.readers, state.children, state.shield, state.savers) = ([], [:], nil, [])
                state.schedule.alarms = []
            }
            return state
        }
        ended.shield?.alarm?.cancel()
        for alarm in ended.schedule.alarms { alarm.cancel() }
        for reader in ended.readers { reader.continuation.finish() }
        parent?.state.withLock { $0.children[ObjectIdentifier(self)] = nil }
        let interrupt = status == .interrupted ? ended.inbox.cause : nil
        let last = interrupt.map { InterruptEvent(run: run, signal: $0, checkpoint: checkpoint) }
        bus.publish(last.map { .interrupted($0) } ?? .status(status))
    }
}

extension ScopeState {
    /// Takes in what the shield has kept, in order.
    mutating func lowerShield(in scope: InterruptScope, _ then: inout Consequences) {
        guard let shield = shield.take() else { return }
        shield.alarm?.cancel()
        for signal in shield.kept { _ = receive(signal, in: scope, &then) }
    }
}
