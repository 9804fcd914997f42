import NIOCore

/// Carries bytes between a channel, the codec and ``ConnectionState``; stays on the channel's event loop.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias State = ConnectionState<Waiter, NIODeadline>

    enum Waiter {
        /// A task that waits for replies.
        case task(CheckedContinuation<Result<[RESPValue], RedisError>, Never>)
        /// A task that waits for a subscription. The closure is called on the event loop, before any later message.
        case subscriber(CheckedContinuation<Result<[RESPValue], RedisError>, Never>, @Sendable () -> Void)
        /// The handler's own PING.
        case keepAlive
    }

    private let configuration: RedisConnectionConfiguration
    private let closed: EventLoopPromise<RedisError>
    private let parser = RESPParser()
    private var state = State()
    private var context: ChannelHandlerContext?
    private var wakeUp: Scheduled<Void>?
    private var nextPing: Scheduled<Void>?
    private var hasHeardSomething = false
    private var isFirstRead = true

    /// Called on the event loop for each message of a subscription.
    var onMessage: @Sendable (RedisPush) -> Void = { _ in }

    init(configuration: RedisConnectionConfiguration, closed: EventLoopPromise<RedisError>) {
        self.configuration = configuration
        self.closed = closed
    }

    func submit(_ call: State.Call, bytes: ByteBuffer) {
        // Asked first: of a connection that is closed the state knows why.
        switch state.submit(call) {
        case .refused(let waiter, let error): resume(waiter, with: .failure(error))
        case .write(let wake):
            // While the state is open the handler is in its channel.
            context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            if let wake, let context { wakeUp(at: wake, on: context.eventLoop) }
        }
    }

    func cancel(_ id: UInt64) {
        switch state.cancel(id) {
        case .late: break
        case .abandoned(let waiter, let error): resume(waiter, with: .failure(error))
        case .close(let cause): close(cause, culprit: id)
        }
    }

    func close(_ cause: RedisError, culprit: UInt64? = nil) {
        guard let failed = state.close(cause, culprit: culprit) else { return }
        wakeUp?.cancel()
        nextPing?.cancel()
        closed.succeed(cause)
        for (waiter, error) in failed { resume(waiter, with: .failure(error)) }
        context?.close(promise: nil)
    }

    private func resume(_ waiter: Waiter, with result: Result<[RESPValue], RedisError>) {
        switch waiter {
        case .task(let continuation): continuation.resume(returning: result)
        case .subscriber(let continuation, let onConfirmed):
            if case .success(let replies) = result, replies.first?.errorText == nil { onConfirmed() }
            continuation.resume(returning: result)
        case .keepAlive: break
        }
    }

    // MARK: Events of the channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        close(RedisError(.cannotConnect, "the connection was never made"))
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        schedulePing(on: context.eventLoop)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        let isFirst = isFirstRead
        isFirstRead = false
        hasHeardSomething = true
        buffer.withUnsafeReadableBytes { parser.feed($0) }
        do throws(RESPParserError) {
            while let value = try parser.next() { received(value) }
        } catch {
            close(
                RedisError(
                    .notARedisServer,
                    Self.notRedis(error, firstBytes: isFirst ? buffer : nil),
                    underlying: error
                )
            )
        }
    }

    private func received(_ value: RESPValue) {
        switch state.received(value) {
        case .none: break
        case .finished(let waiter, let replies): resume(waiter, with: .success(replies))
        case .push(let push): onMessage(push)
        case .violation(let error): close(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let cause =
            isFirstRead
            ? RedisError(.connectionLost, "the server closed the connection without a word")
            : RedisError(.connectionLost, "the server closed the connection")
        close(cause)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A peer that leaves without TLS' goodbye has left all the same.
        let isReset = isFirstRead && error is IOError
        let text = FailureText.sentence(for: error) + (isReset ? " without a word" : "")
        close(RedisError(.connectionLost, text, underlying: error))
    }

    private static func notRedis(_ error: RESPParserError, firstBytes: ByteBuffer?) -> String {
        guard let bytes = firstBytes?.readableBytesView else {
            return "the server broke the protocol: \(error.problem)"
        }
        if bytes.starts(with: "HTTP/".utf8) { return "an HTTP server answered, not a Redis server" }
        // The first byte of a TLS alert or handshake record.
        if bytes.first == 0x15 || bytes.first == 0x16 {
            return "the server answered in TLS: use rediss:// instead of redis://"
        }
        return "what answered is not a Redis server: \(error.problem)"
    }

    // MARK: Time

    private func wakeUp(at deadline: NIODeadline, on eventLoop: any EventLoop) {
        wakeUp?.cancel()
        wakeUp = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self else { return }
            switch state.timePassed(at: .now()) {
            case .none: break
            case .wake(let next): wakeUp(at: next, on: eventLoop)
            case .close(let cause, let culprit): close(cause, culprit: culprit)
            }
        }
    }

    private func schedulePing(on eventLoop: any EventLoop) {
        guard let interval = configuration.pingInterval else { return }
        hasHeardSomething = false
        nextPing = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(interval)) { [weak self] in
            guard let self else { return }
            // Whoever waits for a reply has a deadline of its own.
            if !hasHeardSomething, !state.isWaiting {
                let deadline = NIODeadline.now() + TimeAmount(configuration.pingTimeout)
                let call = State.Call(
                    id: 0,
                    waiter: .keepAlive,
                    expectation: .replies(1),
                    name: "PING on an idle connection",
                    deadline: deadline
                )
                submit(call, bytes: RESPEncoder.encode([RedisCommand("PING")]))
            }
            schedulePing(on: eventLoop)
        }
    }
}
