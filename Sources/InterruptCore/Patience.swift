import Synchronization

/// How long a scope waits for its work to take notice of an interrupt before it says so.
struct Patience {
    let limit: Duration
    var alarm: Alarm?
}

extension InterruptScope {
    /// From now on, publishes ``ScopeEvent/ignored(stage:for:lastCheckpoint:)`` when the work has not taken notice of an
    /// interrupt for `limit`: at stage 1 when it still goes on, at a harder stage when it has not surfaced, here or in a
    /// scope below. Once for each stage. An interrupt that was accepted before counts from now on. Returns at once.
    public func warnIfIgnored(for limit: Duration) {
        state.withLock { state in
            state.patience?.alarm?.cancel()
            state.patience = Patience(limit: limit.clamped)
            if let stage = state.inbox.stage { state.armPatience(for: stage, in: self) }
        }
    }

    fileprivate func losePatience(with stage: InterruptStage) {
        state.withLock { state in
            guard let patience = state.patience, state.inbox.stage == stage else { return }
            if stage >= .terminate, hasSurfaced { return }
            bus.publish(.ignored(stage: stage, for: patience.limit, lastCheckpoint: lastCheckpointName))
        }
    }
}

extension ScopeState {
    mutating func armPatience(for stage: InterruptStage, in scope: InterruptScope) {
        guard let limit = patience?.limit, phase == .open else { return }
        patience?.alarm?.cancel()
        patience?.alarm = AlarmClock.ofProcess.setAlarm(at: .now + limit) { scope.losePatience(with: stage) }
    }
}

extension InterruptScope {
    /// The checkpoint that the work has passed last; `nil` before the first one.
    ///
    /// Unsafe here: a name is kept as its address, so that passing a checkpoint takes no lock. It is that of a
    /// `StaticString`, which stays as long as the process.
    var lastCheckpointName: String? {
        UnsafePointer<CChar>(bitPattern: lastCheckpoint.load(ordering: .relaxed)).map { String(cString: $0) }
    }
}
