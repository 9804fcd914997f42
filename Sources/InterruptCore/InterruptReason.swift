/// Why work was asked to stop.
///
/// Seven reasons are known. A reason from elsewhere that is not one of them is kept as it came, counts as
/// ``Kind/custom`` and survives a round trip unchanged.
public struct InterruptReason: RawRepresentable, Hashable, Sendable {
    /// The seven known reasons, closed so that a `switch` over them is exhaustive.
    public enum Kind: String, CaseIterable, Sendable {
        /// A person asked.
        case userCancelled = "user_cancelled"
        /// A duration set beforehand ran out.
        case timeout
        /// Memory, CPU time, output or process count exceeded its limit.
        case resourceLimit = "resource_limit"
        /// Too many failures in a window.
        case errorThreshold = "error_threshold"
        /// More important work needs the place.
        case priorityOverride = "priority_override"
        /// The worker or its machine goes down.
        case systemShutdown = "system_shutdown"
        /// Anything else; the message says what.
        case custom
    }

    /// The spelling on the wire.
    public let rawValue: String

    /// Keeps any spelling; see ``kind`` for what it counts as.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// The reason as one of the seven; an unknown spelling is ``Kind/custom``.
    public var kind: Kind { Kind(rawValue: rawValue) ?? .custom }

    /// Whether the spelling is one of the seven.
    public var isKnown: Bool { Kind(rawValue: rawValue) != nil }

    /// The reason for people: an unknown spelling is shown as what it counts as. Not escaped.
    public var displayText: String { isKnown ? rawValue : "custom (\(rawValue))" }

    /// A person asked. The default of every request.
    public static let userCancelled = InterruptReason(.userCancelled)
    /// A duration set beforehand ran out.
    public static let timeout = InterruptReason(.timeout)
    /// Memory, CPU time, output or process count exceeded its limit.
    public static let resourceLimit = InterruptReason(.resourceLimit)
    /// Too many failures in a window.
    public static let errorThreshold = InterruptReason(.errorThreshold)
    /// More important work needs the place.
    public static let priorityOverride = InterruptReason(.priorityOverride)
    /// The worker or its machine goes down.
    public static let systemShutdown = InterruptReason(.systemShutdown)
    /// Anything else; the message says what.
    public static let custom = InterruptReason(.custom)

    private init(_ kind: Kind) {
        self.rawValue = kind.rawValue
    }
}

extension InterruptReason: CustomStringConvertible {
    /// The spelling on the wire.
    public var description: String { rawValue }
}
