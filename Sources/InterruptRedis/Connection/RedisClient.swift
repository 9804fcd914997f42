public import Logging
public import NIOCore
import Synchronization

/// A connection for commands that comes back by itself.
///
/// ``run()`` keeps it; commands may be sent from anywhere, also before it runs: they wait for a connection as long as
/// their timeout allows. What was written and got no reply is never sent again by the client: only the caller knows
/// whether a repetition does harm (``RedisError/isOutcomeUnknown``).
public final class RedisClient: RedisCommands {
    private typealias Waiter = CheckedContinuation<Result<RedisConnection, RedisError>, Never>

    /// Where the connection goes.
    public var endpoint: RedisEndpoint { reconnector.endpoint }

    private let reconnector: Reconnector
    private let prepare: @Sendable (RedisConnection) async throws(RedisError) -> Void
    private let state = Mutex(ClientState<RedisConnection, Waiter>())
    private let lastID = Atomic<UInt64>(0)

    /// A client; ``run()`` connects it.
    ///
    /// - `prepare`: is run with each new connection before commands are let through, to set up what belongs to
    ///   the connection (`CLIENT TRACKING`). If it throws, the connection is closed and made anew after the backoff.
    public convenience init(
        endpoint: RedisEndpoint,
        name: String? = nil,
        configuration: RedisConnectionConfiguration = RedisConnectionConfiguration(),
        group: any EventLoopGroup = RedisConnection.defaultGroup,
        logger: Logger? = nil,
        prepare: @escaping @Sendable (RedisConnection) async throws(RedisError) -> Void = { _ in }
    ) {
        self.init(
            endpoint: endpoint,
            name: name,
            configuration: configuration,
            group: group,
            log: ConnectionLog(logger),
            prepare: prepare
        )
    }

    /// - Parameter log: one for all connections of a program to this endpoint.
    init(
        endpoint: RedisEndpoint,
        name: String?,
        configuration: RedisConnectionConfiguration,
        group: any EventLoopGroup = RedisConnection.defaultGroup,
        log: ConnectionLog,
        prepare: @escaping @Sendable (RedisConnection) async throws(RedisError) -> Void
    ) {
        reconnector = Reconnector(
            endpoint: endpoint,
            name: name,
            configuration: configuration,
            group: group,
            log: log,
            // What blocks is told by the server.
            roleInterval: configuration.pingInterval.map { min($0, .seconds(1)) }
        )
        self.prepare = prepare
    }

    /// What its connections are logged to.
    var log: ConnectionLog { reconnector.log }

    /// Keeps the client connected; returns when its task is cancelled, with the connection closed.
    ///
    /// Attempts follow each other after 50 ms to 2 s, exponentially and at random; while they fail, at most one line a
    /// second is logged. A connection that is idle for the ping interval is asked with PING.
    public func run() async {
        state.withLock { $0.began() }
        await reconnector.run(prepare: prepare) { connection in
            for waiter in state.withLock({ $0.connected(connection) }) {
                waiter.resume(returning: .success(connection))
            }
        } down: { error in
            state.withLock { $0.failed(error) }
        }
        for waiter in state.withLock({ $0.ended() }) {
            waiter.resume(returning: .failure(RedisError(.closed, "the Redis client has ended")))
        }
    }

    /// Whether there is a connection now. It may be lost the next moment.
    public var isConnected: Bool { state.withLock { $0.current != nil } }

    /// The number of the present connection on the server, if there is one and it was asked for.
    public var clientID: Int64? { state.withLock { $0.current }?.clientID }

    /// The present connection, if there is one, and its number here: another one after each loss.
    var present: (connection: RedisConnection, number: UInt64)? { state.withLock { $0.numbered } }

    /// The present connection, or the next one if it comes in time. Sends nothing.
    func numbered() async throws(RedisError) -> (connection: RedisConnection, number: UInt64) {
        _ = try await connection(within: reconnector.configuration.commandTimeout)
        if let present { return present }
        throw RedisError(.connectionLost, "the connection to \(endpoint) was lost again")
    }

    /// Waits until the present connection, or the next one if it comes in time, is a second old: of many that come back at
    /// once, nobody asks before that for what has no hurry. Sends nothing.
    ///
    /// - Throws: `.cannotConnect` if there was no connection in time, `.connectionLost` if it did not become that old,
    ///   `.cancelled`, `.closed`.
    func settled() async throws(RedisError) {
        let connection = try await connection(within: reconnector.configuration.commandTimeout)
        do {
            // Its age is the condition: there is no event to wait for.
            try await Task.sleep(until: connection.acceptedAt + .seconds(1), clock: .continuous)
        } catch {
            throw RedisError(.cancelled, "the task that waited for \(endpoint) was cancelled")
        }
        guard present?.connection === connection else {
            throw RedisError(.connectionLost, "the connection to \(endpoint) was lost again")
        }
    }

    /// Drops the present connection, if there is one, and makes a new one. Commands under way fail with `.closed`.
    public func reconnect() { state.withLock { $0.current }?.close() }

    /// Sends commands in one write and returns all replies in order. Error replies are values, not errors.
    ///
    /// - `timeout`: for the connection and then all replies; `nil` for the configuration's.
    /// - Throws: `.cannotConnect` if there was no connection in time, with the last failure's message; else as
    ///   ``RedisConnection/send(_:timeout:)-([RedisCommand],_)``.
    public func send(_ commands: [RedisCommand], timeout: Duration? = nil) async throws(RedisError) -> [RESPValue] {
        try await send(commands, timeout: timeout, waits: true)
    }

    fileprivate func send(
        _ commands: [RedisCommand],
        timeout: Duration?,
        waits: Bool
    ) async throws(RedisError) -> [RESPValue] {
        let errand = CommandErrand(
            to: endpoint,
            known: reconnector.known,
            within: timeout ?? reconnector.configuration.commandTimeout,
            waits: waits
        ) { limit throws(RedisError) in
            try await self.connection(within: limit)
        } lost: { connection, error in
            self.state.withLock { $0.lost(error) { $0 === connection } }
        }
        return try await errand.run(commands)
    }

    private func connection(within limit: Duration) async throws(RedisError) -> RedisConnection {
        if let connection = state.withLock({ $0.current }) { return connection }
        let id = lastID.add(1, ordering: .relaxed).newValue
        let result: Result<RedisConnection, RedisError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                switch state.withLock({ $0.request(id: id, waiter: continuation) }) {
                case .use(let connection): continuation.resume(returning: .success(connection))
                case .refused(let error): continuation.resume(returning: .failure(error))
                case .wait: giveUp(id, after: limit)
                }
                // The handler below may have run before the request was made, and found nothing.
                if Task.isCancelled { cancelWait(id) }
            }
        } onCancel: {
            cancelWait(id)
        }
        return try result.get()
    }

    private func giveUp(_ id: UInt64, after limit: Duration) {
        if limit >= .seconds(10 * 365 * 86_400) { return }
        reconnector.group.any().scheduleTask(in: TimeAmount(max(.zero, limit))) { [self] in
            let (waiter, failure) = state.withLock { ($0.withdraw(id: id), $0.lastFailure) }
            let error =
                failure.map { RedisError(.cannotConnect, "no connection in time: \($0.message)", underlying: $0) }
                ?? RedisError(.cannotConnect, "no connection to \(endpoint) in time")
            waiter?.resume(returning: .failure(error))
        }
    }

    private func cancelWait(_ id: UInt64) {
        let error = RedisError(.cancelled, "the task that waited for a connection to \(endpoint) was cancelled")
        state.withLock { $0.withdraw(id: id) }?.resume(returning: .failure(error))
    }
}

/// A client as long as it is connected: what cannot be sent at once fails at once.
struct PresentConnection: RedisCommands {
    let client: RedisClient

    func send(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue] {
        try await client.send(commands, timeout: timeout, waits: false)
    }
}
