import InterruptCore
import InterruptRedis

/// How requests are sent: every one is on record, refused, or unknown, and never said to be what it is not.
extension Session {
    /// What an answer may take at most, and some room for the process itself.
    private static let answerLimit = Duration.milliseconds(4_800)

    /// Runs a step that may be repeated, and repeats it once when its outcome is unknown.
    ///
    /// - Parameter isOneScript: whether the step writes with one script, once.
    func resolving<R: Sendable>(
        isOneScript: Bool = true,
        _ step: (_ client: InterruptClient, _ isRepetition: Bool) async throws(RedisError) -> R
    ) async throws(CommandFailure) -> R {
        try await repeatingOnce(isOneScript: isOneScript) { connection, isRepetition throws(RedisError) in
            try await step(InterruptClient(commands: connection, keys: keys, signingKey: signingKey), isRepetition)
        }
    }

    /// Runs such a step over one connection, which is not made anew, and then asks over it how many replicas have what was
    /// written. Without a demand that is not asked, and the answer is `nil`.
    func resolving<R: Sendable>(
        _ durability: Durability?,
        isOneScript: Bool = true,
        _ step: (_ client: InterruptClient, _ isRepetition: Bool) async throws(RedisError) -> R
    ) async throws(CommandFailure) -> (R, Replication?) {
        guard let durability else { return (try await resolving(isOneScript: isOneScript, step), nil) }
        return try await repeatingOnce(isOneScript: isOneScript) { control, isRepetition throws(RedisError) in
            // One that broke since it was last used is replaced here, where nothing is written yet.
            _ = try await control.send(RedisCommand("PING"))
            let connection = try await control.connection()
            let client = InterruptClient(commands: connection, keys: keys, signingKey: signingKey)
            let result = try await step(client, isRepetition)
            return (result, await durability.replication(over: connection))
        }
    }

    private func repeatingOnce<R: Sendable>(
        isOneScript: Bool,
        _ step: (_ connection: ControlConnection, _ isRepetition: Bool) async throws(RedisError) -> R
    ) async throws(CommandFailure) -> R {
        let start = ContinuousClock.now
        do throws(RedisError) {
            return try await step(connection, false)
        } catch {
            guard error.isOutcomeUnknown else { throw CommandFailure(error, embeddedSocket: embeddedSocket) }
            let left = Self.answerLimit - connectTime - start.duration(to: .now)
            return try await again(step, isOneScript: isOneScript, after: error, within: left)
        }
    }

    /// On a connection of its own.
    ///
    /// - Parameter left: for making that and for the answer, half of it each.
    private func again<R: Sendable>(
        _ step: (_ connection: ControlConnection, _ isRepetition: Bool) async throws(RedisError) -> R,
        isOneScript: Bool,
        after unknown: RedisError,
        within left: Duration
    ) async throws(CommandFailure) -> R {
        let half = max(.milliseconds(250), left / 2)
        let limits = RedisConnectionConfiguration(connectTimeout: half, commandTimeout: half)
        do throws(RedisError) {
            return try await step(ControlConnection(endpoint: endpoint, configuration: limits), true)
        } catch {
            throw CommandFailure(unknown, then: error, isOneScript: isOneScript)
        }
    }
}
