import DequeModule

/// A message of a subscription.
public struct RedisPush: Sendable, Hashable {
    /// The channel it was published to.
    public var channel: String
    /// The published bytes, as `.bulk`. On `__redis__:invalidate` it is an `.array` of keys, or `.null` when every key is
    /// invalidated.
    public var payload: RESPValue

    /// A message from its parts.
    public init(channel: String, payload: RESPValue) {
        self.channel = channel
        self.payload = payload
    }
}

/// The bookkeeping of one connection: who waits for which replies, until when, and what a disconnect fails.
///
/// Redis answers in order, so calls wait in a queue. Never waits, writes or reads a clock.
struct ConnectionState<Waiter, Instant: Comparable> {
    /// Somebody who waits for replies.
    struct Call {
        enum Expectation: Equatable {
            /// One reply for each command.
            case replies(Int)
            /// One confirmation for each channel, or one error for all.
            case confirmations(Int)
        }

        let id: UInt64
        let waiter: Waiter
        let expectation: Expectation
        /// What errors call it: the first command's name.
        let name: String
        let deadline: Instant?
        /// Whether nothing but the end of the connection ends it: it waits at the server for something to happen, say.
        var holdsConnection = false
        /// Nobody waits any more: the replies come all the same, and are dropped.
        var isAbandoned = false
        var replies: [RESPValue] = []
    }

    private enum Phase {
        /// Then `closed`.
        case open
        /// The last one, with its cause as those hear it who did not bring it about.
        case closed(RedisError)
    }

    enum Submission {
        /// Write the bytes; if `wake` is said, call ``timePassed(at:)`` then, instead of when was said before.
        case write(wake: Instant?)
        /// Too late: nothing is written.
        case refused(Waiter, RedisError)
    }

    enum Cancellation {
        /// It has its replies.
        case late
        /// Whoever waited is to be told; the connection goes on.
        case abandoned(Waiter, RedisError)
        case close(RedisError)
    }

    enum Arrival {
        /// Nobody's call is complete yet.
        case none
        case finished(Waiter, [RESPValue])
        case push(RedisPush)
        /// The server said what nobody asked for: the replies can no longer be told apart.
        case violation(RedisError)
    }

    enum TimeAction {
        case none
        case wake(Instant)
        case close(RedisError, culprit: UInt64)
    }

    private var phase = Phase.open
    private var calls: Deque<Call> = []
    private var wakeTime: Instant?
    private var isSubscribed = false

    /// Whether a reply is waited for.
    var isWaiting: Bool { !calls.isEmpty }

    /// Takes a call whose bytes are to be written next.
    mutating func submit(_ call: Call) -> Submission {
        if case .closed(let cause) = phase { return .refused(call.waiter, cause) }
        calls.append(call)
        guard let deadline = call.deadline else { return .write(wake: nil) }
        if let wakeTime, wakeTime <= deadline { return .write(wake: nil) }
        wakeTime = deadline
        return .write(wake: deadline)
    }

    /// Takes one reply of the server.
    mutating func received(_ value: RESPValue) -> Arrival {
        if case .closed = phase { return .none }
        if isSubscribed, let push = Self.push(value) { return .push(push) }
        guard !calls.isEmpty else {
            let text = value.errorText.map { "'\($0)'" } ?? "something"
            return .violation(RedisError(.connectionLost, "the server said \(text) that nobody had asked for"))
        }
        calls[0].replies.append(isSubscribed ? Self.plainPong(value) : value)
        if case .confirmations = calls[0].expectation, value.errorText == nil { isSubscribed = true }
        guard calls[0].isComplete else { return .none }
        let call = calls.removeFirst()
        return call.isAbandoned ? .none : .finished(call.waiter, call.replies)
    }

    /// Looks for calls whose time is up.
    mutating func timePassed(at now: Instant) -> TimeAction {
        if case .closed = phase { return .none }
        wakeTime = nil
        if let late = calls.first(where: { $0.deadline.map { $0 <= now } ?? false }) {
            return .close(RedisError(.timedOut, "no reply to \(late.name) in time"), culprit: late.id)
        }
        wakeTime = calls.lazy.compactMap(\.deadline).min()
        return wakeTime.map { .wake($0) } ?? .none
    }

    /// Nobody waits for this call any more. It was written, so its outcome is unknown. Others have their calls on the same
    /// connection, and its replies are soon there.
    mutating func cancel(_ id: UInt64) -> Cancellation {
        guard let index = calls.firstIndex(where: { $0.id == id && !$0.isAbandoned }) else { return .late }
        var error = RedisError(.cancelled, "the task that waited for \(calls[index].name) was cancelled")
        if calls[index].holdsConnection { return .close(error) }
        calls[index].isAbandoned = true
        error.isOutcomeUnknown = true
        return .abandoned(calls[index].waiter, error)
    }

    /// Ends everything; `nil` if it has ended before. All calls were written, so all their outcomes are unknown.
    /// - Parameter culprit: the call that gets the cause itself, where others hear that the connection was lost.
    mutating func close(_ cause: RedisError, culprit: UInt64? = nil) -> [(Waiter, RedisError)]? {
        if case .closed = phase { return nil }
        // Somebody's cancellation or timeout is not that of the others, and they may ask again.
        let isEveryones = [.connectionLost, .notARedisServer, .closed, .cannotConnect].contains(cause.code)
        let others =
            isEveryones ? cause : RedisError(.connectionLost, "the connection was closed because \(cause.message)")
        phase = .closed(others)
        defer { calls = [] }
        return calls.filter { !$0.isAbandoned }.map { call in
            var error = call.id == culprit ? cause : others
            if let said = call.replies.first?.errorText { error.message += ", after the server had said '\(said)'" }
            error.isOutcomeUnknown = true
            return (call.waiter, error)
        }
    }

    private static func push(_ value: RESPValue) -> RedisPush? {
        guard let elements = value.array, elements.count == 3, elements[0].text == "message",
            let channel = elements[1].text
        else { return nil }
        return RedisPush(channel: channel, payload: elements[2])
    }

    /// On a subscribed connection PING is answered by a list; callers need not know.
    private static func plainPong(_ value: RESPValue) -> RESPValue {
        guard let elements = value.array, elements.first?.text == "pong" else { return value }
        return .status("PONG")
    }
}

extension ConnectionState.Call {
    fileprivate var isComplete: Bool {
        switch expectation {
        case .replies(let count): replies.count >= count
        case .confirmations(let count): replies.count >= count || replies[0].errorText != nil
        }
    }
}
