import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a person in a terminal is told when Ctrl-C is pressed.
public struct InterruptFeedback: Sendable {
    /// Whether the next press is explained.
    public var showsHelp = true
    /// Whether it is said what a stage means for what runs and what waits.
    public var isDetailed = false
    /// Whether only ASCII is used.
    public var isPlain = false
    /// Where a line goes: to standard error, if nothing is said. Must return at once.
    public var show: @Sendable (String) -> Void = writeToStandardError

    /// Feedback with help, and without details.
    public init() {}

    /// The lines that say that the stage has risen.
    func lines(from old: InterruptStage?, to new: InterruptStage) -> [String] {
        var lines = [StageTexts.announcement(new), StageTexts.escalation(from: old, to: new, isPlain: isPlain)]
        if isDetailed { lines += [StageTexts.heading(new)] + StageTexts.details(new).map { "  - \($0)" } }
        if showsHelp, let hint = StageTexts.hint(after: new) { lines.append(hint) }
        return lines
    }
}

/// Unsafe here: `write(2)` takes a pointer, to bytes that live as long as the call.
private func writeToStandardError(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    // A terminal that is gone reads nothing.
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

@TaskLocal private var isHandlingUnixSignals = false

/// Runs `body` in a new scope, which Unix signals interrupt: each press of Ctrl-C (SIGINT) goes up one stage, and SIGTERM
/// is stage 2 with reason `system_shutdown`. Key repeat counts as one press. Afterwards, also when `body` throws, the
/// signals have their dispositions from before. A call inside of another one leaves the signals to that.
///
/// - Parameters:
///   - maximumStage: the hardest stage that presses reach.
///   - feedback: what is told when Ctrl-C is pressed; `nil` is nothing.
/// - Throws: what `body` throws, and ``SignalSetupError``.
public func withUnixSignalHandling<Result>(
    maximumStage: InterruptStage = .kill,
    feedback: InterruptFeedback? = InterruptFeedback(),
    _ body: (InterruptScope) async throws -> Result
) async throws -> Result {
    if isHandlingUnixSignals { return try await withInterruptScope(body) }
    return try await withUnixSignals([SIGINT, SIGTERM]) { signals in
        try await $isHandlingUnixSignals.withValue(true) {
            try await withInterruptScope { scope in
                scope.state.withLock { state in
                    state.runUntilEnd(in: scope) { await scope.obey(signals, upTo: maximumStage, feedback) }
                }
                return try await body(scope)
            }
        }
    }
}

extension InterruptScope {
    fileprivate func obey(_ signals: UnixSignals, upTo maximum: InterruptStage, _ feedback: InterruptFeedback?) async {
        var presses = PressCounter<ContinuousClock.Instant>()
        for await number in signals {
            if number == SIGTERM {
                receive(.unixSignal("SIGTERM", .terminate, .systemShutdown))
            } else if let next = presses.press(at: .now), next <= maximum {
                let old = stage
                receive(.unixSignal("SIGINT", next, .userCancelled))
                for line in feedback?.lines(from: old, to: next) ?? [] { feedback?.show(line) }
            }
        }
    }
}

extension InterruptSignal {
    fileprivate static func unixSignal(
        _ name: String,
        _ stage: InterruptStage,
        _ reason: InterruptReason
    ) -> InterruptSignal {
        InterruptSignal(
            stage: stage,
            reason: reason,
            message: "this process got \(name)",
            triggeredBy: name,
            source: .unixSignal
        )
    }
}
