import InterruptCore
import Logging
import NIOCore

/// Keeps one connection up until its task is cancelled. What the connection is for, the closures know.
struct Reconnector: Sendable {
    let endpoint: RedisEndpoint
    let name: String?
    let configuration: RedisConnectionConfiguration
    let group: any EventLoopGroup
    let log: ConnectionLog
    /// What its attempts have learnt.
    let known = KnownServers()
    /// Ends the wait before the next attempt.
    let hurry = Wakeup()
    /// How often a master is asked whether it still is one: with sentinels only, and not where a connection cannot ask.
    var roleInterval: Duration?

    /// Connects again and again.
    /// - Parameters:
    ///   - current: holds the connection while there is one, also during `prepare`.
    ///   - prepare: makes a new connection ready; if it throws, the connection is closed and the attempt has failed.
    ///   - up: called when a connection is ready.
    ///   - down: called after every failed attempt and every loss.
    func run(
        prepare: (RedisConnection) async throws(RedisError) -> Void,
        up: (RedisConnection) -> Void,
        down: (RedisError) -> Void
    ) async {
        var backoff = Backoff()
        // Somebody else may be in charge any moment.
        if endpoint.following == .master { backoff.longest = .seconds(1) }
        var isLost = false
        while !Task.isCancelled {
            var connectedAt: ContinuousClock.Instant?
            let cause: RedisError
            do throws(RedisError) {
                let connection = try await connect(prepare)
                connectedAt = .now
                log.logger.debug("connected to Redis", metadata: ["endpoint": "\(connection.endpoint)"])
                up(connection)
                if isLost { log.connected() }
                isLost = false
                hurry.clear()  // this attempt was the one
                cause = await closure(of: connection)
            } catch {
                cause = error
            }
            down(cause)
            if Task.isCancelled { return }
            log.failed(endpoint, cause, isFirst: !isLost)
            isLost = true
            let lifetime = connectedAt.map { $0.duration(to: .now) }
            // Cancellation ends the wait, and then the loop.
            let delay = backoff.delay(afterLifetime: lifetime, random: Double.random(in: 0..<1))
            await hurry.wait(until: .now + delay)
        }
    }

    private func connect(
        _ prepare: (RedisConnection) async throws(RedisError) -> Void
    ) async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.connect(
            to: endpoint,
            name: name,
            configuration: configuration,
            group: group,
            known: known
        )
        do throws(RedisError) {
            try await prepare(connection)
        } catch {
            connection.close(error)
            throw error
        }
        return connection
    }

    /// Waits until the connection is closed, and closes it when the task is cancelled.
    private func closure(of connection: RedisConnection) async -> RedisError {
        await withTaskCancellationHandler {
            guard endpoint.following == .master, let roleInterval else { return await connection.waitUntilClosed() }
            return await withTaskGroup(of: Void.self) { group in
                group.addTask { await leaveReplica(connection, askingEvery: roleInterval) }
                defer { group.cancelAll() }
                return await connection.waitUntilClosed()
            }
        } onCancel: {
            connection.close()
        }
    }

    /// A server that was made a replica goes on answering: whoever reads from it only would never notice.
    private func leaveReplica(_ connection: RedisConnection, askingEvery interval: Duration) async {
        while true {
            do {
                try await Task.sleep(for: interval)
                let role = try await connection.send(RedisCommand("ROLE")).array?.first?.text
                if role != "master" {
                    connection.close(RedisError(.connectionLost, "\(connection.endpoint) is no master any more"))
                }
            } catch {
                return  // the connection is closed, or is no longer needed
            }
        }
    }
}
