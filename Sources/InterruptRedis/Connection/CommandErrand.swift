/// Takes commands to the server in charge, and again where they were sent on, within one limit.
package struct CommandErrand {
    /// Between two questions while nobody can answer. At first; then twice as long each time, up to the second one.
    private static let pauses = (shortest: Duration.milliseconds(10), longest: Duration.milliseconds(200))
    /// How long others on a connection that is left may wait for replies that are under way.
    private static let drainLimit = Duration.milliseconds(500)

    /// Who is in charge, and what attempts to connect have learnt.
    let endpoint: RedisEndpoint
    let known: KnownServers
    let limit: Duration
    /// Whether to wait for a connection, and while nobody can answer. Else only what can be sent at once is sent.
    let waits: Bool
    /// The connection to use, made within this time if there is none.
    let connection: (Duration) async throws(RedisError) -> RedisConnection
    /// This connection is of no use any more, and why: the next one is another.
    let lost: (RedisConnection, RedisError) -> Void

    /// An errand of commands to this endpoint.
    package init(
        to endpoint: RedisEndpoint,
        known: KnownServers,
        within limit: Duration,
        waits: Bool = true,
        connection: @escaping (Duration) async throws(RedisError) -> RedisConnection,
        lost: @escaping (RedisConnection, RedisError) -> Void
    ) {
        self.endpoint = endpoint
        self.known = known
        self.limit = limit
        self.waits = waits
        self.connection = connection
        self.lost = lost
    }

    /// All replies, in order. A refusal is among them only when the time was up before anybody was in charge, or it does
    /// not wait.
    package func run(_ commands: [RedisCommand]) async throws(RedisError) -> [RESPValue] {
        let start = ContinuousClock.now
        var pause = Self.pauses.shortest
        var batch = CommandBatch(commands, following: endpoint.following)
        while true {
            let connection = try await connection(for: batch, within: waits ? limit - start.duration(to: .now) : .zero)
            let place = connection.endpoint.address
            var step: CommandBatch.Step
            switch await connection.attempt(batch.openCommands, timeout: left(since: start)) {
            case .success(let replies): step = batch.received(replies, from: place)
            case .failure(let error):
                // Only calls that a closed connection refused have a known outcome; a cancelled one is not tried again.
                guard !error.isOutcomeUnknown, error.code != .cancelled else { throw error }
                lost(connection, error)
                // One that greets and hangs up is not tried for ever.
                guard start.duration(to: .now) < limit else { throw error }
                continue
            }
            if waits, case .ask(let node) = step {
                step = try await ask(node, &batch, from: place, within: left(since: start))
            }
            switch step {
            case .finished:
                if batch.isFromReplica, endpoint.following != .nobody { await leave(connection, "it is a replica") }
                return batch.replies
            case .reconnect(let node):
                if let node { known.owner(is: node) }
                await leave(connection, node.map { "\($0) has the keys now" } ?? "it is no master any more")
            case .ask, .wait:
                // A quarter is for the last reply: without one nobody knows whether the command was carried out.
                guard waits, start.duration(to: .now) + pause < limit / 4 * 3 else { return batch.replies }
                do { try await Task.sleep(for: pause) } catch { throw cancelled(batch) }
                pause = min(pause * 2, Self.pauses.longest)
            }
        }
    }

    private func left(since start: ContinuousClock.Instant) -> Duration {
        max(.milliseconds(1), limit - start.duration(to: .now))
    }

    private func connection(
        for batch: borrowing CommandBatch,
        within limit: Duration
    ) async throws(RedisError) -> RedisConnection {
        do throws(RedisError) {
            return try await connection(limit)
        } catch {
            // What was carried out before cannot be told from what was not.
            var error = error
            if batch.hasBegun { error.isOutcomeUnknown = true }
            throw error
        }
    }

    /// One question on a connection of its own: the node is not in charge yet.
    private func ask(
        _ node: RedisNode,
        _ batch: inout CommandBatch,
        from place: RedisEndpoint.Address,
        within limit: Duration
    ) async throws(RedisError) -> CommandBatch.Step {
        var endpoint = endpoint.at(node)
        endpoint.keys = nil
        let commands = batch.askingCommands(for: node, from: place)
        let connection: RedisConnection
        do throws(RedisError) {
            connection = try await RedisConnection.connect(
                to: endpoint,
                configuration: RedisConnectionConfiguration(connectTimeout: min(limit, ServerSearch.choiceLimit))
            )
        } catch {
            if error.code == .cancelled { throw error }
            return .wait
        }
        defer { connection.close() }
        return batch.answered(try await connection.attempt(commands, timeout: limit).get(), from: endpoint.address)
    }

    /// Takes no more commands to this connection, and closes it when those of others that are on it have their replies.
    private func leave(_ connection: RedisConnection, _ why: String) async {
        let cause = RedisError(.connectionLost, "\(connection.endpoint) is left: \(why)")
        lost(connection, cause)
        _ = await connection.attempt([RedisCommand("PING")], timeout: Self.drainLimit)
        connection.close(cause)
    }

    private func cancelled(_ batch: borrowing CommandBatch) -> RedisError {
        RedisError(.cancelled, "the task that waited for a reply was cancelled", isOutcomeUnknown: batch.hasBegun)
    }
}
