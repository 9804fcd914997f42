import InterruptCore
import InterruptRedis

/// One connection for one command of the program. Lost, it is made anew by the next call; what was lost is not repeated.
actor ControlConnection: RedisCommands {
    private let endpoint: RedisEndpoint
    private let configuration: RedisConnectionConfiguration
    private var current: RedisConnection?

    init(endpoint: RedisEndpoint, configuration: RedisConnectionConfiguration = RedisConnectionConfiguration()) {
        self.endpoint = endpoint
        self.configuration = configuration
    }

    /// Makes the connection if there is none.
    func connect() async throws(RedisError) { _ = try await connection() }

    /// The connection as it is now, for what must not be spread over two. Lost, it stays so, and what is sent over it fails.
    func connection() async throws(RedisError) -> RedisConnection {
        if let current { return current }
        let new = try await RedisConnection.connect(to: endpoint, configuration: configuration)
        // While this one was made, another call may have made one.
        if let current {
            new.close()
            return current
        }
        current = new
        return new
    }

    func send(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue] {
        let isKept = current != nil
        do throws(RedisError) {
            return try await attempt(commands, timeout: timeout)
        } catch {
            // Lost while nobody used it, which shows only now. Nothing was sent, so it is no repetition.
            guard isKept, error.code == .connectionLost, !error.isOutcomeUnknown else { throw error }
            return try await attempt(commands, timeout: timeout)
        }
    }

    private func attempt(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue] {
        let connection = try await connection()
        do throws(RedisError) {
            return try await connection.send(commands, timeout: timeout)
        } catch {
            connection.close()
            if current === connection { current = nil }
            throw error
        }
    }
}
