public import InterruptCore

/// What a worker does about others: it looks whether they live, and takes over what was theirs. All on one connection, and
/// nothing of it again on another.
extension RedisTransport {
    /// Lets the runs that are due be offered, and looks at all workers.
    public func survey() async throws(TransportError) -> WorkerSurvey {
        let (client, connection) = try await presentConnection()
        let parts = try await evaluate(RedisScripts.survey, [], by: client).array ?? []
        guard let due = parts.first?.integer else { throw .refused("survey: unexpected reply from the server") }
        return WorkerSurvey(
            signs: parts.dropFirst().compactMap(WorkerSign.init),
            connection: connection,
            nextDue: due < 0 ? nil : .milliseconds(due)
        )
    }

    /// Puts on record that a worker is silent, gives back what it was offered, and takes over its leased runs.
    public func takeOver(
        _ silent: WorkerSign,
        seenOver connection: UInt64
    ) async throws(TransportError) -> [RunID] {
        let (client, present) = try await presentConnection()
        guard present == connection else { return [] }
        let sign: [RedisArgument] = [
            .init(silent.worker.description), .init(silent.instance), .init(silent.heartbeat),
        ]
        let reply = try await evaluate(RedisScripts.markSilent, sign + [.init(worker.description)], by: client)
        guard let parts = reply.array, parts.first?.text == "silent", parts.count == 2 else { return [] }
        var taken: [RunID] = []
        for run in (parts[1].array ?? []).compactMap(\.text) {
            let more: [RedisArgument] = [
                .init(run), .init(worker.description), .init(Self.retention.components.seconds),
            ]
            let reply = try await evaluate(RedisScripts.takeOver, sign + more + Self.nextRun(), by: client)
            if reply.text == "heard" { return taken }
            if reply.text == "OK" { taken.append(RunID(rawValue: run)) }
        }
        try await queue.takeBack(from: silent.worker)
        return taken
    }

    private func presentConnection() async throws(TransportError) -> (InterruptClient, UInt64) {
        do throws(RedisError) {
            let (connection, number) = try await commands.numbered()
            return (InterruptClient(commands: connection, keys: keys), number)
        } catch {
            throw TransportError(error)
        }
    }

    private func evaluate(
        _ script: RedisScript,
        _ arguments: [RedisArgument],
        by client: InterruptClient
    ) async throws(TransportError) -> RESPValue {
        do throws(RedisError) {
            return try await client.evaluate(script, arguments)
        } catch {
            throw TransportError(error)
        }
    }
}

extension WorkerSign {
    fileprivate init?(reply: RESPValue) {
        let parts = reply.array?.compactMap(\.text) ?? []
        // Only our scripts write a worker's record; of one that has no lease nothing can be said.
        guard parts.count == 4, let worker = try? Name(parts[0]), let heartbeat = Int64(parts[2]),
            let lease = Int64(parts[3]), lease > 0
        else { return nil }
        self.init(worker: worker, instance: parts[1], heartbeat: heartbeat, lease: .milliseconds(lease))
    }
}
