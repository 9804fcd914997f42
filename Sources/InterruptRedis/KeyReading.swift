import InterruptCore
import InterruptJSON
import Logging

/// How a worker reads its keys: on the server that its subscription is on, armed so that this hears of their next change, and
/// without what is too long to be read. One reading after the other.
struct KeyReading {
    /// The pair of connections between which tracking was set up; when either is made anew, it is set up again.
    private struct TrackedConnection: Equatable {
        var commands: UInt64
        /// By our own count: a server that was restarted gives its numbers again.
        var subscription: Int
        var isAccepted: Bool
    }

    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let board: WatchBoard
    private let isTracking: Bool
    private let logger: Logger
    private var tracked: TrackedConnection?
    /// The connection of the commands for which the subscription was made anew.
    private var followed: UInt64?
    /// Whether the last reading took too long: then something under one of its keys may be too much to be read.
    private var isWary = false

    /// - Parameter isTracking: whether keys are armed.
    init(client: RedisClient, subscriber: RedisSubscriber, board: WatchBoard, isTracking: Bool, logger: Logger) {
        self.client = client
        self.subscriber = subscriber
        self.board = board
        self.isTracking = isTracking
        self.logger = logger
    }

    /// What stands under the keys. In place of what is too long for an interrupt stands its length, which is none either, and
    /// another value when it has another length.
    mutating func values(of keys: [String]) async throws(RedisError) -> [(key: String, value: [UInt8]?)] {
        do throws(RedisError) {
            // A reading that waited for a connection would go before the tracking, and all is read then anyhow.
            guard let (connection, number) = client.present else {
                throw RedisError(.connectionLost, "the connection to \(client.endpoint) was lost")
            }
            let commands = PresentConnection(client: client)
            let isTogether = keepTogether(connection, number)
            let isTracked = isTogether ? try await track(connection, number) : false
            let suspects = isWary ? keys : board.setAside(among: keys)
            let tooLong = try await commands.lengths(of: suspects, isTracked: isTracked).filter {
                $0.value > SignalMessage.maximumSize
            }
            let readable = tooLong.isEmpty ? keys : keys.filter { tooLong[$0] == nil }
            let values = try await commands.values(of: readable, isTracked: isTracked)
            isWary = false
            return zip(readable, values).map { ($0, $1.bytes) }
                + tooLong.map { ($0.key, Array("\($0.value) bytes".utf8)) }
        } catch {
            if error.code == .timedOut { isWary = true }
            throw error
        }
    }

    /// Whether both connections are on one server. Where the commands have moved to another one (a fail-over, a slot of a
    /// cluster) the subscription is made anew: what it is on hears of no tracked key, and once demoted of nothing at all.
    /// Once for each connection of the commands, because one server may have two addresses.
    private mutating func keepTogether(_ commands: RedisConnection, _ number: UInt64) -> Bool {
        guard number != followed, let here = commands.peer, let there = subscriber.peer, here != there
        else { return true }
        followed = number
        logger.info("Redis is another server now, subscribing there", metadata: ["server": "\(here)"])
        subscriber.reconnect()
        return false
    }

    /// Redirects invalidations to the subscription, once for each pair of connections: a broken redirect is silent. When
    /// the connection changes between the question and the command, the next read sees it and sets tracking up again.
    private mutating func track(_ commands: RedisConnection, _ number: UInt64) async throws(RedisError) -> Bool {
        guard isTracking, let subscription = board.subscription else { return false }
        let isSetUp = tracked?.commands == number
        if isSetUp, let tracked, tracked.subscription == subscription.count { return tracked.isAccepted }
        let off = isSetUp ? [RedisCommand("CLIENT", "TRACKING", "OFF")] : []
        let on = RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", .init(subscription.id), "OPTIN")
        let reply = try await commands.send(off + [on]).last
        var isAccepted = true
        if case .error(let text) = reply {
            isAccepted = false
            if tracked == nil {
                logger.warning("tracked keys are refused, push and poll go on", metadata: ["why": "\(text)"])
            }
        }
        tracked = TrackedConnection(commands: number, subscription: subscription.count, isAccepted: isAccepted)
        return isAccepted
    }
}

extension RedisCommands {
    /// How long the values of keys are, where they are strings.
    ///
    /// - Parameter isTracked: as of ``values(of:isTracked:)``.
    func lengths(of keys: [String], isTracked: Bool) async throws(RedisError) -> [String: Int64] {
        if keys.isEmpty { return [:] }
        let questions = keys.map { RedisCommand("STRLEN", .init($0)) }
        let arm = RedisCommand("CLIENT", "CACHING", "YES")
        let replies = try await send(isTracked ? questions.flatMap { [arm, $0] } : questions)
        // Who has not the right to ask reads them as they are.
        let lengths = isTracked ? stride(from: 1, to: replies.count, by: 2).map { replies[$0] } : replies
        return Dictionary(uniqueKeysWithValues: zip(keys, lengths.map { $0.integer ?? 0 }))
    }

    /// The values of keys, in order, in one round trip however many they are. Each MGET reads 500 of them at most, so
    /// that the server can answer others in between.
    ///
    /// - Parameter isTracked: arms the keys, so that the server tells of their next change.
    func values(of keys: [String], isTracked: Bool) async throws(RedisError) -> [RESPValue] {
        if keys.isEmpty { return [] }
        let reads = keys.chunked(by: 500).map { RedisCommand("MGET", $0.map { RedisArgument($0) }) }
        let arm = RedisCommand("CLIENT", "CACHING", "YES")
        let replies = try await send(isTracked ? reads.flatMap { [arm, $0] } : reads)
        var values: [RESPValue] = []
        for index in reads.indices {
            let reply = replies[isTracked ? 2 * index + 1 : index]
            if case .error(let text) = reply { throw RedisError.fromReply(text) }
            values += reply.array ?? []
        }
        return values
    }
}

extension Array {
    fileprivate func chunked(by size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
