import InterruptCore

/// What a database says about one piece of work: the four values of its row.
public struct InterruptRow: Hashable, Sendable {
    /// The query that reads it by its id, if nothing else is said.
    public static let defaultQuery = "SELECT interrupted, reason, message, triggered_by FROM interrupts WHERE id = ?"

    /// Whether the work is to stop.
    public var isInterrupted: Bool
    /// Why; `nil` is `user_cancelled`.
    public var reason: String?
    /// Free text for people.
    public var message: String?
    /// Who asked.
    public var triggeredBy: String?

    /// A row from its values.
    public init(isInterrupted: Bool, reason: String? = nil, message: String? = nil, triggeredBy: String? = nil) {
        (self.isInterrupted, self.reason, self.message, self.triggeredBy) = (
            isInterrupted, reason, message, triggeredBy
        )
    }

    /// The interrupt that the row asks for; `nil` for none.
    var signal: InterruptSignal? {
        guard isInterrupted else { return nil }
        return InterruptSignal(
            reason: reason.map(InterruptReason.init) ?? .userCancelled,
            message: message,
            triggeredBy: triggeredBy,
            source: .checker
        )
    }
}
