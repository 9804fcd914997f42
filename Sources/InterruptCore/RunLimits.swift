/// How much a command and everything below it may use before it is interrupted with reason `resource_limit`. What is `nil`
/// has no limit.
public struct RunLimits: Hashable, Sendable {
    /// The most memory in use at a time, in bytes.
    public var memory: Int64?
    /// The most CPU time, of all processors together.
    public var cpuTime: Duration?
    /// The most processes at a time.
    public var processes: Int?
    /// The most that may be written to standard output and standard error together, in bytes.
    public var output: Int64?

    /// Limits; none, if nothing is said.
    public init(memory: Int64? = nil, cpuTime: Duration? = nil, processes: Int? = nil, output: Int64? = nil) {
        (self.memory, self.cpuTime, self.processes, self.output) = (memory, cpuTime, processes, output)
    }
}

/// What is done beside a command when it is interrupted, and when it has ended.
public struct RunHooks: Hashable, Sendable {
    /// How long a hook may take, where nobody says. 30 s: as long as Kubernetes gives a hook and the end together.
    public static let defaultLimit = Duration.seconds(30)
    /// The longest text of a hook, in bytes.
    public static let maximumSize = 64 * 1_024

    /// A text for `/bin/sh -c`, run when the command is interrupted.
    public var onInterrupt: String?
    /// A text for `/bin/sh -c`, run when the command has ended, however it did.
    public var onEnd: String?
    /// How long each may take.
    public var limit: Duration

    /// Hooks; none, if nothing is said.
    public init(onInterrupt: String? = nil, onEnd: String? = nil, limit: Duration = defaultLimit) {
        (self.onInterrupt, self.onEnd, self.limit) = (onInterrupt, onEnd, limit)
    }

    /// Whether there is nothing to do.
    public var isEmpty: Bool { onInterrupt == nil && onEnd == nil }
}
