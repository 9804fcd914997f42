import Dispatch

/// Asks somewhere else whether work is to stop: a file, a database, another program.
///
/// A checker that fails or is slow never interrupts: its scope is told that the source is degraded, and goes on. Of the
/// six forms each may throw; those that are not `async` run on a thread of their own and may block it.
public struct InterruptChecker: Sendable {
    /// How often a scope asks, if nothing else is said: as often as a worker polls Redis.
    public static let defaultInterval = Duration.seconds(1)
    /// How long a scope waits for an answer, if nothing else is said: twice the interval.
    public static let defaultLimit = Duration.seconds(2)

    /// What events and interrupts call the source.
    public var name: String
    /// The time between an answer and the next question.
    public var interval: Duration
    /// What takes longer counts as failed. The question is not repeated while it is under way.
    public var limit: Duration
    let ask: @Sendable () async throws -> InterruptSignal?

    private init(
        _ name: String,
        _ interval: Duration,
        _ limit: Duration,
        ask: @escaping @Sendable () async throws -> InterruptSignal?
    ) {
        (self.name, self.interval, self.limit, self.ask) = (name, interval, limit, ask)
    }

    /// A checker that answers whether to stop. `true` counts as the reason `custom` with the message "Interrupt signal
    /// detected from external source", asked by `external_checker`.
    public init(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        _ check: @escaping @Sendable () throws -> Bool
    ) {
        self.init(name, interval, limit) { try await onItsOwnThread { try check() ? .external : nil } }
    }

    /// A checker that answers whether to stop, as the one that is not `async`.
    public init(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        _ check: @escaping @Sendable () async throws -> Bool
    ) {
        self.init(name, interval, limit) { try await check() ? .external : nil }
    }

    /// A checker that answers with the interrupt, or `nil` for none.
    public init(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        _ check: @escaping @Sendable () throws -> InterruptSignal?
    ) {
        self.init(name, interval, limit) { try await onItsOwnThread(check) }
    }

    /// A checker that answers with the interrupt, or `nil` for none, as the one that is not `async`.
    public init(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        _ check: @escaping @Sendable () async throws -> InterruptSignal?
    ) {
        self.init(name, interval, limit, ask: check)
    }

    /// A checker whose every answer is an interrupt; to go on, it throws.
    @_disfavoredOverload
    public init(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        _ check: @escaping @Sendable () throws -> InterruptSignal
    ) {
        self.init(name, interval, limit) { try await onItsOwnThread(check) }
    }

    /// A checker whose every answer is an interrupt, as the one that is not `async`; one that waits for it needs a limit
    /// of ``Swift/Duration/longestAccepted``.
    @_disfavoredOverload
    public init(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        _ check: @escaping @Sendable () async throws -> InterruptSignal
    ) {
        self.init(name, interval, limit, ask: check)
    }
}

/// Runs what may block its thread where it holds up no task.
func onItsOwnThread<Success: Sendable, Failure: Error>(
    _ body: @escaping @Sendable () throws(Failure) -> Success
) async throws(Failure) -> Success {
    let result = await withCheckedContinuation { continuation in
        // A queue of its own has a thread of its own; the global ones share as few threads as there are processors.
        DispatchQueue(label: "own thread").async { continuation.resume(returning: Result(catching: body)) }
    }
    return try result.get()
}

extension InterruptSignal {
    /// What a plain "yes" of a checker means.
    static var external: InterruptSignal {
        InterruptSignal(
            reason: .custom,
            message: "Interrupt signal detected from external source",
            triggeredBy: "external_checker",
            source: .checker
        )
    }
}
