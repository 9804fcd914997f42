internal import InterruptCore
public import Logging
public import NIOCore
import Synchronization

/// What a subscriber reports.
public enum RedisSubscriberEvent: Sendable {
    /// All channels are confirmed: from now on nothing is missed. What was published before may be: read it now. The
    /// number is the connection's on the server (`CLIENT ID`), `nil` if the user may not ask.
    case connected(clientID: Int64?)
    /// A message. One of a channel that is confirmed early may come shortly before ``connected(clientID:)``.
    case push(RedisPush)
    /// A gap begins: the connection was lost, or the first attempt failed. Comes once until the next
    /// ``connected(clientID:)``.
    case disconnected(RedisError)
}

/// A subscription that comes back by itself and says when it could not listen.
///
/// It begins on a master and on the owner of the endpoint's keys. Of a server that is made a replica later it learns when
/// that closes the connection, as sentinels have it do.
///
/// Events come one after the other, messages on the event loop's thread: `onEvent` must return at once.
public final class RedisSubscriber: Sendable {
    private enum Link {
        /// Nothing was reported yet. Then `up` or `down`.
        case fresh
        /// Then `down`.
        case up(RedisConnection)
        /// The gap was reported. Then `up`.
        case down
    }

    /// The channels.
    public let channels: [String]

    private let optionalChannels: [String]
    private let reconnector: Reconnector
    private let hasSaidRefused = Mutex(false)
    private let onEvent: @Sendable (RedisSubscriberEvent) -> Void
    private let link = Mutex(Link.fresh)

    /// A subscriber of at least one channel; ``run()`` connects it.
    ///
    /// - `optionalChannels`: subscribed too where the user may; what an ACL refuses is said once and gone without.
    public convenience init(
        endpoint: RedisEndpoint,
        name: String? = nil,
        configuration: RedisConnectionConfiguration = RedisConnectionConfiguration(),
        group: any EventLoopGroup = RedisConnection.defaultGroup,
        logger: Logger? = nil,
        channels: [String],
        optionalChannels: [String] = [],
        onEvent: @escaping @Sendable (RedisSubscriberEvent) -> Void
    ) {
        self.init(
            endpoint: endpoint,
            name: name,
            configuration: configuration,
            group: group,
            log: ConnectionLog(logger),
            channels: channels,
            optionalChannels: optionalChannels,
            onEvent: onEvent
        )
    }

    /// - Parameter log: one for all connections of a program to this endpoint.
    init(
        endpoint: RedisEndpoint,
        name: String?,
        configuration: RedisConnectionConfiguration,
        group: any EventLoopGroup = RedisConnection.defaultGroup,
        log: ConnectionLog,
        channels: [String],
        optionalChannels: [String],
        onEvent: @escaping @Sendable (RedisSubscriberEvent) -> Void
    ) {
        precondition(!channels.isEmpty, "a subscription has at least one channel")
        reconnector = Reconnector(
            endpoint: endpoint,
            name: name,
            configuration: configuration,
            group: group,
            log: log
        )
        self.channels = channels
        self.optionalChannels = optionalChannels
        self.onEvent = onEvent
    }

    /// Keeps the subscription; returns when its task is cancelled, with the connection closed. Attempts, log lines and
    /// PINGs are those of ``RedisClient/run()``.
    public func run() async {
        await reconnector.run(prepare: subscribe, up: { _ in }, down: reportGap)
    }

    /// Drops the present connection, if there is one, and makes a new one; the gap is reported. Returns at once.
    public func reconnect() {
        let connection: RedisConnection? = link.withLock { link in
            if case .up(let connection) = link { connection } else { nil }
        }
        connection?.close()
    }

    /// Makes the next attempt at once if there is no connection: the server is known to be there.
    func hurry() {
        let isUp = link.withLock { if case .up = $0 { true } else { false } }
        if !isUp { reconnector.hurry.signal() }
    }

    /// The address of the present server, if there is one.
    var peer: String? {
        link.withLock { link in
            if case .up(let connection) = link { connection.peer } else { nil }
        }
    }

    private func subscribe(_ connection: RedisConnection) async throws(RedisError) {
        let onEvent = onEvent
        let report: @Sendable (RedisPush) -> Void = { onEvent(.push($0)) }
        for channel in optionalChannels {
            do throws(RedisError) {
                try await connection.subscribe([channel], onMessage: report)
            } catch {
                guard error.code == .notPermitted else { throw error }
                let isNews = hasSaidRefused.withLock { hasSaid in
                    defer { hasSaid = true }
                    return !hasSaid
                }
                if isNews {
                    reconnector.log.logger.warning(
                        "a channel is refused, going on without",
                        metadata: ["channel": "\(channel)"]
                    )
                }
            }
        }
        try await connection.subscribe(channels, onMessage: report) { [self] in
            link.withLock { $0 = .up(connection) }
            onEvent(.connected(clientID: connection.clientID))
        }
    }

    private func reportGap(_ error: RedisError) {
        let isNews = link.withLock { link in
            defer { link = .down }
            if case .down = link { return false }
            return true
        }
        if isNews { onEvent(.disconnected(error)) }
    }
}
