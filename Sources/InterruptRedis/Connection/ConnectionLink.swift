import NIOCore
import Synchronization

/// The way from any task to the ``ConnectionHandler`` on its event loop: one submit there, one resume back.
final class ConnectionLink: Sendable {
    let eventLoop: any EventLoop
    let configuration: RedisConnectionConfiguration
    private let channel: any Channel
    private let handler: NIOLoopBound<ConnectionHandler>
    private let closed: EventLoopFuture<RedisError>
    private let lastID = Atomic<UInt64>(0)

    /// Adds the handler to a channel that is being made. To be called on the channel's event loop.
    init(addingTo channel: any Channel, configuration: RedisConnectionConfiguration) throws {
        let promise = channel.eventLoop.makePromise(of: RedisError.self)
        let handler = ConnectionHandler(configuration: configuration, closed: promise)
        eventLoop = channel.eventLoop
        self.configuration = configuration
        self.channel = channel
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
        closed = promise.futureResult
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            handler.close(RedisError(.cannotConnect, "the connection was never made", underlying: error))
            throw error
        }
    }

    /// Replies to all commands, in order. Error replies are values.
    func send(_ commands: [RedisCommand], timeout: Duration?) async -> Result<[RESPValue], RedisError> {
        guard let first = commands.first else { return .success([]) }
        return await call(
            .replies(commands.count),
            commands,
            name: first.name,
            timeout: timeout,
            // Who gives it more time than others have means it to wait.
            holdsConnection: timeout.map { $0 > configuration.commandTimeout } ?? false
        ) { .task($0) }
    }

    func subscribe(
        _ channels: [String],
        timeout: Duration?,
        onMessage: @escaping @Sendable (RedisPush) -> Void,
        onConfirmed: @escaping @Sendable () -> Void
    ) async -> Result<[RESPValue], RedisError> {
        eventLoop.execute { self.handler.value.onMessage = onMessage }
        let command = RedisCommand("SUBSCRIBE", channels.map { .text($0) })
        return await call(
            .confirmations(channels.count),
            [command],
            name: "SUBSCRIBE",
            timeout: timeout,
            holdsConnection: true  // a subscription that is half made is of no use
        ) { .subscriber($0, onConfirmed) }
    }

    func close(_ cause: RedisError) {
        eventLoop.execute { self.handler.value.close(cause) }
    }

    /// The address at the other end.
    var peer: String? { channel.remoteAddress.map { "\($0)" } }

    func waitUntilClosed() async -> RedisError {
        do {
            return try await closed.get()
        } catch {
            return RedisError(.connectionLost, "the connection is closed", underlying: error)
        }
    }

    private func call(
        _ expectation: ConnectionHandler.State.Call.Expectation,
        _ commands: [RedisCommand],
        name: String,
        timeout: Duration?,
        holdsConnection: Bool,
        waiter:
            @escaping @Sendable (CheckedContinuation<Result<[RESPValue], RedisError>, Never>) ->
            ConnectionHandler.Waiter
    ) async -> Result<[RESPValue], RedisError> {
        if Task.isCancelled { return .failure(RedisError(.cancelled, "\(name) was not sent: the task was cancelled")) }
        let id = lastID.add(1, ordering: .relaxed).newValue
        let bytes = RESPEncoder.encode(commands)
        let deadline = configuration.deadline(for: timeout)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                eventLoop.execute {
                    let call = ConnectionHandler.State.Call(
                        id: id,
                        waiter: waiter(continuation),
                        expectation: expectation,
                        name: name,
                        deadline: deadline,
                        holdsConnection: holdsConnection
                    )
                    self.handler.value.submit(call, bytes: bytes)
                }
                // The handler below may have run before the call was submitted, and found nothing.
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: UInt64) {
        eventLoop.execute { self.handler.value.cancel(id) }
    }
}
