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
