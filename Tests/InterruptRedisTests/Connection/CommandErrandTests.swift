import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite struct `An errand` {
    @Test(.timeLimit(.minutes(1)))
    func `that was refused asks no more when there is hardly time for an answer, which would be unknown`()
        async throws
    {
        // Nobody owns its slots.
        let port = try freeLoopbackPort()
        let arguments = ["--cluster-enabled", "yes", "--cluster-port", "\(port)"]
        try await withRedis(arguments: arguments, tcp: true) { redis in
            let server = RedisEndpoint(address: .tcp(host: "127.0.0.1", port: redis.port!))
            try await withFaultProxy(to: server) { proxy in
                let connection = try await RedisConnection.connect(to: proxy.endpoint, configuration: .patient)
                defer { connection.close() }
                var endpoint = proxy.endpoint
                endpoint.keys = try RedisKeys()
                let errand = CommandErrand(to: endpoint, known: KnownServers(), within: .seconds(10)) { _ in
                    connection
                } lost: { _, error in
                    Issue.record("\(error)")
                }
                // With the first answer three quarters of the time are over; a second one would come after all of it.
                proxy.rules.toClient = .delayed(.milliseconds(7_600), jitter: .zero)
                let replies = try await errand.run([RedisCommand("GET", "k")])
                #expect(replies.first?.errorText?.hasPrefix("CLUSTERDOWN ") == true, "\(replies)")
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func `that does not wait has the refusal, and nothing is sent later`() async throws {
        // Nobody owns its slots.
        let port = try freeLoopbackPort()
        try await withRedis(arguments: ["--cluster-enabled", "yes", "--cluster-port", "\(port)"], tcp: true) { redis in
            var endpoint = RedisEndpoint(address: .tcp(host: "127.0.0.1", port: redis.port!))
            let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
            defer { connection.close() }
            endpoint.keys = try RedisKeys()
            let errand = CommandErrand(to: endpoint, known: KnownServers(), within: .seconds(3_600), waits: false) {
                limit in
                #expect(limit == .zero)
                return connection
            } lost: { _, error in
                Issue.record("\(error)")
            }
            let replies = try await errand.run([RedisCommand("GET", "k")])
            #expect(replies.first?.errorText?.hasPrefix("CLUSTERDOWN ") == true, "\(replies)")
        }
    }
}
