public import InterruptCore

/// What became of giving a run up.
public enum ForgetOutcome: Hashable, Sendable {
    /// It is recorded as lost.
    case forgotten(job: String, worker: String)
    /// Its worker was heard of within its lease: nothing was recorded.
    case heard(job: String, worker: String, since: Duration)
    /// It waits in its queue: nothing was recorded.
    case queued(job: String)
    /// It had ended before.
    case ended(job: String, state: RunState)
    /// There is no such run.
    case missing
}

extension InterruptClient {
    /// Records a run as lost because somebody has decided that it is gone. Returns when that is recorded. Nothing is stopped;
    /// a worker that comes back ends what it has of the run.
    ///
    /// - Parameters:
    ///   - run: the run.
    ///   - who: the one who decides, for the record.
    public func forget(_ run: RunID, by who: String?) async throws(RedisError) -> ForgetOutcome {
        let reply = try await evaluate(
            RedisScripts.forget,
            [.init(run.rawValue), .init(who ?? ""), .init(RedisTransport.retention.components.seconds)]
        )
        let parts = reply.array?.compactMap(\.text) ?? []
        switch (parts.first, parts.count) {
        case ("forgotten", 3): return .forgotten(job: parts[1], worker: parts[2])
        case ("heard", 4):
            return .heard(job: parts[1], worker: parts[2], since: .milliseconds(Int64(parts[3]) ?? 0))
        case ("queued", 2): return .queued(job: parts[1])
        case ("ended", 3): return .ended(job: parts[1], state: RunState(rawValue: parts[2]) ?? .lost)
        case ("missing", 1): return .missing
        default: throw unexpected(reply, from: "forget")
        }
    }
}
