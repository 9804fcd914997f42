import InterruptCore

extension RedisConnection {
    /// Waits until so many replicas have everything that was written over this connection, and returns how many have. Fewer
    /// than asked for is an answer, no failure, and undoes nothing.
    ///
    /// Asked over another connection than the one that wrote, `WAIT` proves nothing; that is why a client that reconnects
    /// does not have this.
    ///
    /// - `limit`: how long to wait for them, at least a millisecond; less than the configuration's command timeout.
    public func replicas(_ count: Int, within limit: Duration) async throws(RedisError) -> Int {
        // A limit of 0 would be none.
        let milliseconds = max(1, limit.milliseconds)
        let reply = try await send(RedisCommand("WAIT", .number(count), .init(milliseconds)))
        return Int(reply.integer ?? 0)
    }
}
