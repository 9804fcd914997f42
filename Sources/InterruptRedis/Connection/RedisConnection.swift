public import NIOCore
import NIOPosix

/// One connection to a Redis server. It does not reconnect: ``RedisClient`` and ``RedisSubscriber`` do.
///
/// All methods may be called from anywhere and at the same time; replies come in the order of the commands. A command that
/// timed out closes the connection. One whose task is cancelled does so only where it was given more time than the
/// configuration says, for it may wait at the server for something to happen; of any other the reply is dropped when it comes.
public final class RedisConnection: RedisCommands {
    /// Where the connection goes: with sentinels or a cluster, the server that was found.
    public let endpoint: RedisEndpoint
    /// The connection's number on the server (`CLIENT ID`); `nil` if the user may not ask, or it was not asked for.
    public let clientID: Int64?
    /// When the server had accepted it.
    let acceptedAt = ContinuousClock.now
    private let link: ConnectionLink

    init(endpoint: RedisEndpoint, clientID: Int64?, link: ConnectionLink) {
        self.endpoint = endpoint
        self.clientID = clientID
        self.link = link
    }

    /// Connects, speaks TLS if the endpoint says so, and says user, database and name. Returns when the server has
    /// accepted them, at the latest after the connect timeout.
    ///
    /// All addresses of a host name are tried. The server's certificate must be for the endpoint's host. Sentinels are
    /// asked first, and the server that they name must be a master; in a cluster it goes to the owner of the endpoint's
    /// keys.
    /// - `name`: what `CLIENT LIST` calls the connection.
    public static func connect(
        to endpoint: RedisEndpoint,
        name: String? = nil,
        configuration: RedisConnectionConfiguration = RedisConnectionConfiguration(),
        group: any EventLoopGroup = defaultGroup
    ) async throws(RedisError) -> RedisConnection {
        try await connect(to: endpoint, name: name, configuration: configuration, group: group, known: KnownServers())
    }

    /// Connects as ``connect(to:name:configuration:group:)``, with what was learnt before.
    package static func connect(
        to endpoint: RedisEndpoint,
        name: String? = nil,
        configuration: RedisConnectionConfiguration = RedisConnectionConfiguration(),
        group: any EventLoopGroup = defaultGroup,
        known: KnownServers
    ) async throws(RedisError) -> RedisConnection {
        let search = ServerSearch(
            endpoint: endpoint,
            name: name,
            configuration: configuration,
            group: group,
            known: known
        )
        return try await search.run()
    }

    /// The address at the other end, as the operating system has it: the same for the same server, however it is called.
    var peer: String? { link.peer }

    /// The threads that carry connections if nothing else is said: those of the whole process.
    public static var defaultGroup: any EventLoopGroup { MultiThreadedEventLoopGroup.singleton }

    /// Sends commands in one write and returns all replies in order. Error replies are values, not errors.
    ///
    /// - `timeout`: for all replies together; `nil` for the configuration's, ``Swift/Duration/unlimited`` for none.
    /// - Throws: `.timedOut`, `.connectionLost`, `.cancelled`, or the cause for which the connection was closed before.
    public func send(_ commands: [RedisCommand], timeout: Duration? = nil) async throws(RedisError) -> [RESPValue] {
        try await attempt(commands, timeout: timeout).get()
    }

    /// Subscribes to channels and returns when the server has confirmed all of them. From then on the connection takes
    /// only ``ping(timeout:)`` and further channels; anything else gets an error reply.
    ///
    /// `onMessage` gets the messages of all channels, on the event loop's thread, for the shortest way: it must return at
    /// once. A later call replaces it. A message of a channel that is confirmed early may come before the return.
    public func subscribe(
        _ channels: [String],
        onMessage: @escaping @Sendable (RedisPush) -> Void
    ) async throws(RedisError) {
        try await subscribe(channels, onMessage: onMessage, onConfirmed: {})
    }

    /// Subscribes as ``subscribe(_:onMessage:)``; `onConfirmed` is called on the event loop, before any later message.
    func subscribe(
        _ channels: [String],
        onMessage: @escaping @Sendable (RedisPush) -> Void,
        onConfirmed: @escaping @Sendable () -> Void
    ) async throws(RedisError) {
        precondition(!channels.isEmpty, "a subscription has at least one channel")
        let result = await link.subscribe(channels, timeout: nil, onMessage: onMessage, onConfirmed: onConfirmed)
        if let text = try result.get().first?.errorText { throw RedisError.fromReply(text) }
    }

    /// Asks whether the server answers, on a subscribed connection too. No answer in time closes the connection.
    public func ping(timeout: Duration? = nil) async throws(RedisError) {
        try await send(RedisCommand("PING"), timeout: timeout)
    }

    /// Closes the connection; returns at once. Whoever waits gets `.closed`. Idempotent.
    public func close() {
        close(RedisError(.closed, "the connection to \(endpoint) was closed by this program"))
    }

    func close(_ cause: RedisError) { link.close(cause) }

    /// Waits until the connection is closed and returns why. Does not end when its task is cancelled: ``close()`` ends it.
    public func waitUntilClosed() async -> RedisError { await link.waitUntilClosed() }

    /// Sends commands; only a failure whose outcome is known was never written.
    func attempt(_ commands: [RedisCommand], timeout: Duration?) async -> Result<[RESPValue], RedisError> {
        await link.send(commands, timeout: timeout)
    }
}
