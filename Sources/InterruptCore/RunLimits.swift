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

    /// What a hook runs.
    public enum Command: Hashable, Sendable, ExpressibleByStringLiteral {
        /// A text for `/bin/sh -c`.
        case shell(String)
        /// Program and arguments, as bytes; no shell sees them. Only a worker's own rules make these.
        case program([[UInt8]])

        /// A text for the shell.
        public init(stringLiteral text: String) { self = .shell(text) }

        /// The text, if a shell runs it.
        public var shellText: String? {
            if case .shell(let text) = self { text } else { nil }
        }
    }

    /// Run when the command is interrupted.
    public var onInterrupt: Command?
    /// Run when the command has ended, however it did.
    public var onEnd: Command?
    /// How long each may take.
    public var limit: Duration

    /// Hooks that are texts for the shell; none, if nothing is said.
    public init(onInterrupt: String? = nil, onEnd: String? = nil, limit: Duration = defaultLimit) {
        (self.onInterrupt, self.onEnd, self.limit) = (onInterrupt.map(Command.shell), onEnd.map(Command.shell), limit)
    }

    /// Whether there is nothing to do.
    public var isEmpty: Bool { onInterrupt == nil && onEnd == nil }
}
