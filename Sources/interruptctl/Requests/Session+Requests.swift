import InterruptCore
import InterruptRedis

/// How requests are sent: every one is on record, refused, or unknown, and never said to be what it is not.
extension Session {
    /// Runs a step that may be repeated, and repeats it once when its outcome is unknown.
    func resolving<R: Sendable>(
        _ step: (_ client: InterruptClient, _ isRepetition: Bool) async throws(RedisError) -> R
    ) async throws(CommandFailure) -> R {
        try await repeatingOnce { connection, isRepetition throws(RedisError) in
            try await step(InterruptClient(commands: connection, keys: keys, signingKey: signingKey), isRepetition)
        }
    }

    /// Runs such a step over one connection, which is not made anew, and then asks over it how many replicas have what was
    /// written. Without a demand that is not asked, and the answer is `nil`.
    func resolving<R: Sendable>(
        _ durability: Durability?,
        _ step: (_ client: InterruptClient, _ isRepetition: Bool) async throws(RedisError) -> R
    ) async throws(CommandFailure) -> (R, Replication?) {
        guard let durability else { return (try await resolving(step), nil) }
        return try await repeatingOnce { control, isRepetition throws(RedisError) in
            let connection = try await control.connection()
            let client = InterruptClient(commands: connection, keys: keys, signingKey: signingKey)
            let result = try await step(client, isRepetition)
            return (result, await durability.replication(over: connection))
        }
    }

    private func repeatingOnce<R: Sendable>(
        _ step: (_ connection: ControlConnection, _ isRepetition: Bool) async throws(RedisError) -> R
    ) async throws(CommandFailure) -> R {
        do throws(RedisError) {
            return try await step(connection, false)
        } catch {
            guard error.isOutcomeUnknown else { throw CommandFailure(error, embeddedSocket: embeddedSocket) }
            return try await again(step, after: error)
        }
    }

    /// Within the five seconds that an answer may take at most, on a connection of its own.
    private func again<R: Sendable>(
        _ step: (_ connection: ControlConnection, _ isRepetition: Bool) async throws(RedisError) -> R,
        after unknown: RedisError
    ) async throws(CommandFailure) -> R {
        let limits = RedisConnectionConfiguration(
            connectTimeout: .milliseconds(1_000),
            commandTimeout: .milliseconds(1_000)
        )
        do throws(RedisError) {
            return try await step(ControlConnection(endpoint: endpoint, configuration: limits), true)
        } catch {
            throw error.saysNothingIsRecorded ? CommandFailure(error) : CommandFailure(unknown, then: error)
        }
    }
}

extension RedisError {
    /// Whether a repetition that was refused in this way proves that the first attempt was not carried out. The scripts look
    /// for the request's id before they write, so a primary that refuses the write does not know it. A replica may just have
    /// been the primary, and one that is loading or busy has not looked.
    fileprivate var saysNothingIsRecorded: Bool {
        code == .notPermitted || ["OOM", "MISCONF", "NOREPLICAS"].contains(replyPrefix)
    }
}
