import Synchronization

/// A timeout that has not fired.
struct ArmedTimeout {
    /// Tells it from one that replaces it: an alarm may be on its way when it is cancelled.
    let number: Int
    let alarm: Alarm
    let warning: Alarm?

    func cancel() {
        alarm.cancel()
        warning?.cancel()
    }
}

extension InterruptScope {
    /// Interrupts the scope with reason `timeout` once `duration` has passed since the scope began. Replaces an earlier
    /// timeout; a duration that has passed already fires before this returns. Callable from anywhere; does not wait.
    ///
    /// - Parameters:
    ///   - duration: longer than ten years counts as ten years.
    ///   - message: `nil` is "Execution exceeded {n}s timeout".
    ///   - fraction: publishes ``ScopeEvent/timeoutApproaching(remaining:)`` when this part of the duration has passed,
    ///     `0.8` for instance; `nil` and what is not between 0 and 1 is no warning.
    public func setTimeout(_ duration: Duration, message: String? = nil, warningAfter fraction: Double? = nil) {
        let duration = duration.clamped
        let earlier = change { state, then -> ArmedTimeout? in
            guard state.phase == .open else { return nil }
            let earlier = state.timeout.take()
            if began + duration <= .now {
                _ = state.receive(.timeout(duration, message), in: self, &then)
            } else {
                state.timeoutCount += 1
                state.timeout = arm(state.timeoutCount, duration, message, warningAfter: fraction)
            }
            return earlier
        }
        earlier?.cancel()
    }

    /// Takes the timeout back. Once this has returned it does not fire any more, nor its warning.
    public func cancelTimeout() {
        let earlier = state.withLock { $0.timeout.take() }
        earlier?.cancel()
    }

    private func arm(
        _ number: Int,
        _ duration: Duration,
        _ message: String?,
        warningAfter fraction: Double?
    ) -> ArmedTimeout {
        let clock = AlarmClock.ofProcess
        var warning: Alarm?
        if let fraction, fraction > 0, fraction < 1 {
            let early = duration * fraction
            let due = began + duration
            warning = clock.setAlarm(at: began + early) { self.warn(number, due: due) }
        }
        let alarm = clock.setAlarm(at: began + duration) { self.fire(number, duration, message) }
        return ArmedTimeout(number: number, alarm: alarm, warning: warning)
    }

    /// Looking whether the timeout still stands and merging its signal are one step, so that it cannot fire after
    /// `cancelTimeout`.
    private func fire(_ number: Int, _ duration: Duration, _ message: String?) {
        changeAtAlarm { state, then in
            guard state.timeout?.number == number else { return }
            state.timeout = nil
            _ = state.receive(.timeout(duration, message), in: self, &then)
        }
    }

    private func warn(_ number: Int, due: ContinuousClock.Instant) {
        state.withLock { state in
            guard state.timeout?.number == number else { return }
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
