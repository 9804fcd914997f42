/// What sends commands: one connection, or a client that reconnects.
public protocol RedisCommands: Sendable {
    /// Sends commands in one write and returns all replies in order. Error replies are values, not errors.
    ///
    /// - `timeout`: for all replies together; `nil` for the configuration's.
    func send(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue]
}

extension RedisCommands {
    /// Sends commands in one write and returns all replies in order, within the configuration's time limit. Error
    /// replies are values, not errors.
    public func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RESPValue] {
        try await send(commands, timeout: nil)
    }

    /// Sends a command and returns its reply.
    ///
    /// - Throws: as ``send(_:)``, and for an error reply what ``RedisError/fromReply(_:)`` makes of it.
    @discardableResult
    public func send(_ command: RedisCommand, timeout: Duration? = nil) async throws(RedisError) -> RESPValue {
        let reply = try await send([command], timeout: timeout)[0]
        if let text = reply.errorText { throw RedisError.fromReply(text, to: command) }
        return reply
    }

    /// Runs a script by its digest; if the server does not have it, sends the source.
    ///
    /// - `repliesLast`: lets what the script publishes leave the server before its reply. A server writes first
    ///   to the connection that was the last to get something to write; with a `PING` ahead, that is the subscriber's.
    @discardableResult
    public func evaluate(
        _ script: RedisScript,
        keys: [String],
        arguments: [RedisArgument] = [],
        repliesLast: Bool = false,
        timeout: Duration? = nil
    ) async throws(RedisError) -> RESPValue {
        let ahead = repliesLast ? [RedisCommand("PING")] : []
        var reply = try await send(ahead + [script.byDigest(keys: keys, arguments: arguments)], timeout: timeout).last
        if let text = reply?.errorText, RedisError.fromReply(text).replyPrefix == "NOSCRIPT" {
            reply = try await send([script.bySource(keys: keys, arguments: arguments)], timeout: timeout).last
        }
        if let text = reply?.errorText {
            // Ours all begin with the namespace.
            let namespace = arguments.first.map { String(decoding: $0.bytes, as: UTF8.self) } ?? ""
            throw RedisError.fromReply(text, to: script, keys: keys, namespace: namespace)
        }
        return reply ?? .null
    }
}
