import Synchronization

/// A timeout that has not fired.
struct ArmedTimeout {
    let duration: Duration
    let message: String?
    /// The part of the duration after which it warns, between 0 and 1.
    let warningFraction: Double?
    /// Tells its alarms from those that were set before: one may be on its way when it is cancelled.
    var number: Int
    var hasWarned = false
    /// None while it is suspended.
    var alarms: (firing: Alarm, warning: Alarm?)?

    func cancel() {
        alarms?.firing.cancel()
        alarms?.warning?.cancel()
    }
}

/// For how long the timeouts of a scope did not run.
struct TimeoutSuspension {
    /// What has passed while they were suspended, without the suspension that lasts.
    var total = Duration.zero
    /// Since when they are suspended; `nil` while they run.
    var since: ContinuousClock.Instant?
}

extension InterruptScope {
    /// Interrupts the scope with reason `timeout` once `duration` has passed since the scope began, without the time in
    /// which its timeout was suspended. Replaces an earlier timeout; a duration that has passed already fires before this
    /// returns. Callable from anywhere; does not wait.
    ///
    /// - Parameters:
    ///   - duration: longer than ten years counts as ten years.
    ///   - message: `nil` is "Execution exceeded {n}s timeout".
    ///   - fraction: publishes ``ScopeEvent/timeoutApproaching(remaining:)`` when this part of the duration has passed,
    ///     `0.8` for instance; `nil` and what is not between 0 and 1 is no warning.
    public func setTimeout(_ duration: Duration, message: String? = nil, warningAfter fraction: Double? = nil) {
        let fraction = fraction.flatMap { 0 < $0 && $0 < 1 ? $0 : nil }
        let earlier = change { state, then -> ArmedTimeout? in
            guard state.phase == .open else { return nil }
            let earlier = state.timeout.take()
            state.timeout = ArmedTimeout(
                duration: duration.clamped,
                message: message,
                warningFraction: fraction,
                number: 0
            )
            start(&state, &then)
            return earlier
        }
        earlier?.cancel()
    }

    /// Takes the timeout back. Once this has returned it does not fire any more, nor its warning.
    public func cancelTimeout() {
        let earlier = state.withLock { $0.timeout.take() }
        earlier?.cancel()
    }

    /// Stops the clock of the timeout, also of one that is set meanwhile, until ``resumeTimeout()``: for work that does not
    /// run. Once this has returned it does not fire any more, nor its warning. A repetition changes nothing.
    public func suspendTimeout() {
        let earlier = state.withLock { state -> ArmedTimeout? in
            guard state.phase == .open, state.suspension?.since == nil else { return nil }
            state.suspension = state.suspension ?? TimeoutSuspension()
            state.suspension?.since = .now
            let earlier = state.timeout
            state.timeout?.alarms = nil
            // An alarm that is on its way already finds another number.
            state.timeout?.number = 0
            return earlier
        }
        earlier?.cancel()
    }

    /// Lets the timeout go on with what was left of it, and its warning. Without ``suspendTimeout()`` before, and repeated,
    /// it changes nothing.
    public func resumeTimeout() {
        change { state, then in
            guard let since = state.suspension?.since, var suspension = state.suspension else { return }
            suspension.total += since.duration(to: .now)
            suspension.since = nil
            state.suspension = suspension
            if state.phase == .open { start(&state, &then) }
        }
    }

    /// Sets the alarms of the timeout, unless it is suspended; fires it when its time has passed.
    private func start(_ state: inout ScopeState, _ then: inout Consequences) {
        guard let timeout = state.timeout, state.suspension?.since == nil else { return }
        let began = began + (state.suspension?.total ?? .zero)
        let due = began + timeout.duration
        if due <= .now {
            state.timeout = nil
            _ = state.receive(.timeout(timeout.duration, timeout.message), in: self, &then)
            return
        }
        state.timeoutCount += 1
        let number = state.timeoutCount
        let clock = AlarmClock.ofProcess
        var warning: Alarm?
        if let fraction = timeout.warningFraction, !timeout.hasWarned {
            warning = clock.setAlarm(at: began + timeout.duration * fraction) { self.warn(number, due: due) }
        }
        let firing = clock.setAlarm(at: due) { self.fire(number) }
        state.timeout?.number = number
        state.timeout?.alarms = (firing, warning)
    }

    /// Looking whether the timeout still stands and merging its signal are one step, so that it cannot fire after
    /// `cancelTimeout` or `suspendTimeout`.
    private func fire(_ number: Int) {
        changeAtAlarm { state, then in
            guard let timeout = state.timeout, timeout.number == number else { return }
            state.timeout = nil
            _ = state.receive(.timeout(timeout.duration, timeout.message), in: self, &then)
        }
    }

    private func warn(_ number: Int, due: ContinuousClock.Instant) {
        state.withLock { state in
            guard state.timeout?.number == number else { return }
            state.timeout?.hasWarned = true
            bus.publish(.timeoutApproaching(remaining: max(.zero, ContinuousClock.now.duration(to: due))))
        }
    }
}

extension InterruptSignal {
    fileprivate static func timeout(_ duration: Duration, _ message: String?) -> InterruptSignal {
        let message = message ?? "Execution exceeded \(duration.secondsText)s timeout"
        return InterruptSignal(reason: .timeout, message: message, triggeredBy: "timeout_monitor", source: .timeout)
    }
}
