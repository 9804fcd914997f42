import NIOCore

/// The limits of a connection.
public struct RedisConnectionConfiguration: Sendable, Hashable {
    /// How long connecting may take: name, TCP, TLS and greeting together. 2 s.
    public var connectTimeout: Duration
    /// How long a command may wait for its reply if nothing else is said. 2 s.
    public var commandTimeout: Duration
    /// A connection on which nothing came in for this long, and nothing is waited for, is asked with PING. 3 s; `nil`
    /// for never.
    public var pingInterval: Duration?
    /// How long the answer to such a PING may take before the connection counts as lost. 1 s.
    public var pingTimeout: Duration
    /// Whether the server is asked for the number of the connection.
    var isNumbered = true

    /// The limits.
    public init(
        connectTimeout: Duration = .seconds(2),
        commandTimeout: Duration = .seconds(2),
        pingInterval: Duration? = .seconds(3),
        pingTimeout: Duration = .seconds(1)
    ) {
        self.connectTimeout = connectTimeout
        self.commandTimeout = commandTimeout
        self.pingInterval = pingInterval
        self.pingTimeout = pingTimeout
    }

    /// When a command with this timeout must have its reply; `nil` for never.
    func deadline(for timeout: Duration?) -> NIODeadline? {
        let timeout = timeout ?? commandTimeout
        return timeout >= .seconds(10 * 365 * 86_400) ? nil : .now() + TimeAmount(timeout)
    }
}

extension Duration {
    /// No limit, for commands that block on the server. Such a command keeps a connection from noticing by PING that its
    /// link is dead: better is the blocking time plus a margin, `.seconds(block + 2)`.
    public static let unlimited = Duration.seconds(Int64.max)
}
