import Dispatch
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

/// The scope that Unix signals interrupt.
@TaskLocal private var handlingScope: InterruptScope?

/// Runs `body` in a new scope, which Unix signals interrupt: each press of Ctrl-C (SIGINT) goes up one stage, and SIGTERM
/// is stage 2 with reason `system_shutdown`. Key repeat counts as one press. They arrive whatever the tasks of the process
/// do, and until the scope has ended. Afterwards, also when `body` throws, the signals have their dispositions from before;
/// a handler that others have installed meanwhile stays. A call below such a scope leaves the signals to that.
///
/// - Parameters:
///   - maximumStage: the hardest stage that presses reach.
///   - callsEarlierHandlers: whether handlers that the program had installed before are called too, at once and as
///     handlers. `false` for one that ends the process, which no stage would survive.
///   - feedback: what is told when Ctrl-C is pressed; `nil` is nothing.
///   - body: the work.
/// - Throws: what `body` throws, and ``SignalSetupError``.
public func withUnixSignalHandling<Result>(
    maximumStage: InterruptStage = .kill,
    callsEarlierHandlers: Bool = true,
    feedback: InterruptFeedback? = InterruptFeedback(),
    _ body: (InterruptScope) async throws -> Result
) async throws -> Result {
    if let handlingScope, Interrupt.scope?.isBelow(handlingScope) ?? false { return try await withInterruptScope(body) }
    let scope = InterruptScope(run: nil, parent: Interrupt.scope)
    let handling = UnixSignalHandling(scope: scope, maximumStage: maximumStage, feedback: feedback)
    var hasBegun = false
    do {
        return try await withUnixSignals(
            [SIGINT, SIGTERM],
            onArrival: { handling.arrived($0) },
            isChaining: callsEarlierHandlers
        ) { _ in
            hasBegun = true
            return try await $handlingScope.withValue(scope) { try await scope.contain(timeout: nil, body) }
        }
    } catch {
        if !hasBegun { await scope.finish(.failed) }
        throw error
    }
}

/// What Unix signals do to one scope.
private final class UnixSignalHandling: Sendable {
    private let scope: InterruptScope
    private let maximumStage: InterruptStage
    private let feedback: InterruptFeedback?
    private let presses = Mutex(PressCounter<ContinuousClock.Instant>())
    /// A terminal that does not take the lines delays them, and no signal.
    private let lines = DispatchQueue(label: "feedback")

    init(scope: InterruptScope, maximumStage: InterruptStage, feedback: InterruptFeedback?) {
        (self.scope, self.maximumStage, self.feedback) = (scope, maximumStage, feedback)
    }

    func arrived(_ number: Int32) {
        if number == SIGTERM {
            scope.receive(.unixSignal("SIGTERM", .terminate, .systemShutdown))
        } else if let next = presses.withLock({ $0.press(at: .now) }), next <= maximumStage {
            let old = scope.stage
            scope.receive(.unixSignal("SIGINT", next, .userCancelled))
            guard let feedback else { return }
            lines.async { for line in feedback.lines(from: old, to: next) { feedback.show(line) } }
        }
    }
}

extension InterruptScope {
    /// Whether this is that scope, which has not ended, or below it.
    fileprivate func isBelow(_ other: InterruptScope) -> Bool {
        var scope: InterruptScope? = self
        while let current = scope {
            if current === other { return other.state.withLock { $0.phase != .ended } }
            scope = current.parent
        }
        return false
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
