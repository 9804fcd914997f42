import InterruptCore

@testable import InterruptRedis

/// The worker's end of one connection: ``ConnectionState`` decides, the agenda carries the messages.
final class ModelConnection {
    typealias State = ConnectionState<Answer, VirtualInstant>

    let id: Int
    private let world: World
    private let server: ModelServer
    private var state = State()
    private var lastCall: UInt64 = 0
    private var isCut = false
    /// Nothing passes any more, and nobody is told.
    private(set) var isSilent = false
    private var lastSent = VirtualInstant(microseconds: 0)
    private var lastReceived = VirtualInstant(microseconds: 0)
    private var hasHeardSomething = false
    private var wakeUps = 0
    private let pingInterval: Duration?

    var onMessage: (RedisPush) -> Void = { _ in }
    var onClosed: (RedisError) -> Void = { _ in }

    /// A connection that stands; `nil` for the ping interval where commands block on the server.
    init(_ world: World, _ server: ModelServer, pingInterval: Duration? = .seconds(3)) {
        (self.world, self.server, self.pingInterval) = (world, server, pingInterval)
        id = world.newID()
        server.open(self)
        schedulePing()
    }

    func send(
        _ commands: [ModelServer.Command],
        _ expectation: State.Call.Expectation? = nil,
        timeout: Duration,
        _ answer: Answer
    ) {
        lastCall += 1
        let call = State.Call(
            id: lastCall,
            waiter: answer,
            expectation: expectation ?? .replies(commands.count),
            name: answer.name,
            deadline: world.now.advanced(by: timeout)
        )
        switch state.submit(call) {
        case .refused(let waiter, let error): waiter.give(.failure(error))
        case .write(let wake):
            let due = max(lastSent, world.now.advanced(by: world.latency()))
            lastSent = due
            world.at(due) { [self] in
                if !isCut, !isSilent { server.execute(commands, from: id) }
            }
            if let wake { wakeUp(at: wake) }
        }
    }

    /// What the server says, on its way.
    func deliver(_ value: RESPValue) {
        let due = max(lastReceived, world.now.advanced(by: world.latency()))
        lastReceived = due
        world.at(due) { [self] in
            if !isCut, !isSilent { receive(value) }
        }
    }

    private func receive(_ value: RESPValue) {
        hasHeardSomething = true
        switch state.received(value) {
        case .none: break
        case .finished(let answer, let replies): answer.give(.success(replies))
        case .push(let push): onMessage(push)
        case .violation(let error):
            world.broken("a reply met nobody: \(error)")
            close(error)
        }
    }

    func close(_ cause: RedisError, culprit: UInt64? = nil) {
        guard let failed = state.close(cause, culprit: culprit) else { return }
        isCut = true
        for (answer, error) in failed { answer.give(.failure(error)) }
        // Not simulated: a read that still waits at the server, because that has not heard of the end, can take an entry
        // when the next connection has read its pending ones already. It then waits for the connect after that.
        server.stopWaiting(id)
        // The server hears of it a little later, if at all.
        let id = id
        world.after(isSilent ? .seconds(20) : world.latency()) { [server] in server.close(id) }
        onClosed(cause)
    }

    /// The network takes it away: both ends hear of that.
    func cut() { close(RedisError(.connectionLost, "the server closed the connection")) }

    /// The network takes it away, and neither end hears of that.
    func fallSilent() { isSilent = true }

    private func wakeUp(at deadline: VirtualInstant) {
        wakeUps += 1
        let number = wakeUps
        world.at(deadline) { [self] in
            guard number == wakeUps else { return }
            switch state.timePassed(at: world.now) {
            case .none: break
            case .wake(let next): wakeUp(at: next)
            case .close(let cause, let culprit): close(cause, culprit: culprit)
            }
        }
    }

    private func schedulePing() {
        guard let pingInterval else { return }
        hasHeardSomething = false
        world.after(pingInterval) { [weak self] in
            guard let self, !isCut else { return }
            if !hasHeardSomething, !state.isWaiting {
                send([.ping], timeout: .seconds(1), Answer("PING on an idle connection", world) { _ in })
            }
            schedulePing()
        }
    }
}

/// A connection for commands that comes back by itself: ``ClientState`` and ``Backoff`` decide.
final class ModelClient {
    private let world: World
    private let server: ModelServer
    private let pingInterval: Duration?
    private var state = ClientState<ModelConnection, (ModelConnection?, RedisError?) -> Void>()
    private var backoff = Backoff()
    private var lastWaiter: UInt64 = 0
    private var hasEnded = false
    /// The number of the wait before the next attempt, while there is one.
    private var wait: Int?
    private var waits = 0
    private var isHurried = false
    /// Makes a new connection ready; answers whether it is.
    var prepare: (ModelConnection, @escaping (Bool) -> Void) -> Void = { $1(true) }
    var onConnected: (ModelConnection) -> Void = { _ in }
    var onLost: () -> Void = {}
    private(set) var connection: ModelConnection?
    /// Nothing gets through before that.
    private var cutOffUntil = VirtualInstant(microseconds: 0)

    init(_ world: World, _ server: ModelServer, pingInterval: Duration? = .seconds(3)) {
        (self.world, self.server, self.pingInterval) = (world, server, pingInterval)
    }

    var current: ModelConnection? { state.current }

    var isConnected: Bool { state.current.map { !$0.isSilent } ?? false }

    /// Its connection falls silent, and a new one cannot be made before that.
    func cutOff(until instant: VirtualInstant) {
        cutOffUntil = instant
        connection?.fallSilent()
    }

    func connect() {
        wait = nil
        if hasEnded { return }
        guard server.isUp, world.now >= cutOffUntil, !world.chance(3) else {
            return world.after(world.latency()) { [self] in
                again(RedisError(.cannotConnect, "refused"), lifetime: nil)
            }
        }
        world.after(world.latency()) { [self] in
            guard !hasEnded, server.isUp else { return again(RedisError(.cannotConnect, "refused"), lifetime: nil) }
            let connection = ModelConnection(world, server, pingInterval: pingInterval)
            self.connection = connection
            let connectedAt = world.now
            var isReady = false
            connection.onClosed = { [self] cause in
                again(cause, lifetime: isReady ? connectedAt.duration(to: world.now) : nil)
            }
            prepare(connection) { [self] isPrepared in
                guard isPrepared else { return connection.close(RedisError(.connectionLost, "not prepared")) }
                isReady = true
                isHurried = false
                for waiter in state.connected(connection) { waiter(connection, nil) }
                onConnected(connection)
            }
        }
    }

    private func again(_ cause: RedisError, lifetime: Duration?) {
        if hasEnded { return }
        connection = nil
        state.failed(cause)
        onLost()
        let delay = backoff.delay(afterLifetime: lifetime, random: world.fraction())
        if delay > .seconds(2) { world.broken("a pause of \(delay) between attempts to connect") }
        waits += 1
        let number = waits
        wait = number
        world.after(isHurried ? .zero : delay) { [self] in if wait == number { connect() } }
        isHurried = false
    }

    /// Makes the next attempt at once, if there is no connection.
    func hurry() {
        if wait != nil { return connect() }
        if state.current == nil { isHurried = true }
    }

    /// As `RedisClient.send`: what was never written is tried on the next connection, as long as there is time. What does not
    /// wait fails where there is none.
    func send(
        _ name: String,
        _ commands: [ModelServer.Command],
        timeout: Duration = .seconds(2),
        waits: Bool = true,
        _ then: @escaping (Result<[RESPValue], RedisError>) -> Void
    ) {
        let outer = Answer(name, world, then)
        attempt(name, commands, until: world.now.advanced(by: timeout), waits: waits, outer)
    }

    private func attempt(
        _ name: String,
        _ commands: [ModelServer.Command],
        until end: VirtualInstant,
        waits: Bool,
        _ outer: Answer
    ) {
        if let connection = state.current {
            let left = max(.milliseconds(1), world.now.duration(to: end))
            connection.send(
                commands,
                timeout: left,
                Answer(name, world) { [self] result in
                    if case .failure(let error) = result, !error.isOutcomeUnknown, error.code != .cancelled {
                        state.lost(error) { $0 === connection }
                        return attempt(name, commands, until: end, waits: waits, outer)
                    }
                    outer.give(result)
                }
            )
            return
        }
        guard waits else { return outer.give(.failure(RedisError(.cannotConnect, "no connection"))) }
        lastWaiter += 1
        let id = lastWaiter
        let request = state.request(id: id) { [self] connection, error in
            if connection != nil { return attempt(name, commands, until: end, waits: waits, outer) }
            outer.give(.failure(error ?? RedisError(.cannotConnect, "no connection in time")))
        }
        switch request {
        case .use: attempt(name, commands, until: end, waits: waits, outer)
        case .refused(let error): outer.give(.failure(error))
        case .wait:
            world.at(end) { [self] in state.withdraw(id: id)?(nil, nil) }
        }
    }

    func end() {
        hasEnded = true
        connection?.close(RedisError(.closed, "closed"))
        for waiter in state.ended() { waiter(nil, RedisError(.closed, "the Redis client has ended")) }
    }
}
