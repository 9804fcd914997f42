/// Who waits for a connection, and which one there is.
struct ClientState<Connection, Waiter> {
    private enum Phase {
        /// Then `up` or `ended`. Holds the last failure.
        case down(RedisError?)
        /// Then `down` or `ended`.
        case up(Connection)
        /// `run()` was cancelled; it may be called again, then `up`.
        case ended
    }

    enum Request {
        case use(Connection)
        case wait
        case refused(RedisError)
    }

    private var phase = Phase.down(nil)
    private var generation: UInt64 = 0
    private var waiting: [(id: UInt64, waiter: Waiter)] = []

    /// The connection, if there is one.
    var current: Connection? {
        if case .up(let connection) = phase { return connection }
        return nil
    }

    /// The connection with its number, if there is one: another number after each loss.
    var numbered: (connection: Connection, number: UInt64)? { current.map { ($0, generation) } }

    /// Why there is no connection, as far as it is known.
    var lastFailure: RedisError? {
        if case .down(let error) = phase { return error }
        return nil
    }

    /// Gives the connection, or remembers who wants one.
    mutating func request(id: UInt64, waiter: Waiter) -> Request {
        switch phase {
        case .up(let connection): return .use(connection)
        case .ended: return .refused(RedisError(.closed, "the Redis client has ended"))
        case .down:
            waiting.append((id, waiter))
            return .wait
        }
    }

    /// Takes back a request that still waits.
    mutating func withdraw(id: UInt64) -> Waiter? {
        guard let index = waiting.firstIndex(where: { $0.id == id }) else { return nil }
        return waiting.remove(at: index).waiter
    }

    /// A connection is ready: these are to get it.
    mutating func connected(_ connection: Connection) -> [Waiter] {
        phase = .up(connection)
        generation += 1
        defer { waiting = [] }
        return waiting.map(\.waiter)
    }

    /// An attempt failed, or the connection was lost.
    mutating func failed(_ error: RedisError) { phase = .down(error) }

    /// A caller found a connection of no use. Another one may be there already.
    mutating func lost(_ error: RedisError, isThatOne: (Connection) -> Bool) {
        if case .up(let connection) = phase, isThatOne(connection) { phase = .down(error) }
    }

    /// Nobody keeps the connection any more: these are to be told.
    mutating func ended() -> [Waiter] {
        phase = .ended
        defer { waiting = [] }
        return waiting.map(\.waiter)
    }

    /// `run()` begins.
    mutating func began() {
        if case .ended = phase { phase = .down(nil) }
    }
}
