import InterruptCore
import InterruptRedis

/// One connection for one command of the program, to whichever server is in charge. Lost, it is made anew by the next call;
/// what was lost is not repeated.
actor ControlConnection: RedisCommands {
    private let endpoint: RedisEndpoint
    private let configuration: RedisConnectionConfiguration
    private let known = KnownServers()
    private var current: RedisConnection?

    init(endpoint: RedisEndpoint, configuration: RedisConnectionConfiguration = RedisConnectionConfiguration()) {
        self.endpoint = endpoint
        self.configuration = configuration
    }

    /// Makes the connection if there is none.
    func connect() async throws(RedisError) { _ = try await connection() }

    /// The connection as it is now, for what must not be spread over two. Lost, it stays so, and what is sent over it fails.
    ///
    /// - Parameter limit: how long making one may take; `nil` is as long as the configuration says.
    func connection(within limit: Duration? = nil) async throws(RedisError) -> RedisConnection {
        if let current { return current }
        var configuration = configuration
        if let limit { configuration.connectTimeout = min(configuration.connectTimeout, max(.milliseconds(1), limit)) }
        let new = try await RedisConnection.connect(to: endpoint, configuration: configuration, known: known)
        // While this one was made, another call may have made one.
        if let current {
            new.close()
            return current
        }
        current = new
        return new
    }

    func send(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue] {
        let errand = CommandErrand(
            to: endpoint,
            known: known,
            within: timeout ?? configuration.commandTimeout
        ) { limit throws(RedisError) in
            try await self.connection(within: limit)
        } lost: { connection, _ in
            if self.current === connection { self.current = nil }
        }
        return try await errand.run(commands)
    }
}
