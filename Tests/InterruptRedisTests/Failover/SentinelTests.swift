import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `With sentinels` {
    private let stop = InterruptSignal(message: "stop", triggeredBy: "ops")

    @Test func `a killed primary during interrupts loses none that was confirmed, and the new one is followed`()
        async throws
    {
        try await withSentinels { servers in
            try await withFollowed(servers.endpoint) { followed in
                let runs = try await followed.runs(100)
                // What follows is about interrupts: the runs themselves must be on both servers.
                try await eventually("the replica has all runs") {
                    try await servers.servers[1].command("ZCARD", "interrupt/live").integer == 100
                }
                let refusals = try await withThrowingTaskGroup(of: [RedisError].self) { group in
                    for (number, (run, deliveries)) in runs.enumerated() {
                        group.addTask {
                            // The kill falls into the middle of them.
                            try await Task.sleep(for: .milliseconds(10 * number))
                            return try await followed.insist(on: run, stop)
                        }
                        group.addTask {
                            try await followed.acknowledge(deliveries, of: run)
                            return []
                        }
                    }
                    group.addTask {
                        try await servers.watchClosely()
                        try await eventually("run 20 is interrupted") { !runs[20].1.all.isEmpty }
                        try await servers.servers[0].kill()
                        let promotion = try await servers.promotion(of: servers.servers[1])
                        try await eventually("all connections are to the new primary") {
                            let names = await Followed.connections(to: servers.servers[1])
                            return names?.isSuperset(of: Followed.worker) == true
                        }
                        let time = promotion.duration(to: .now)
                        print("fail-over: followed \(time) after the promotion")
                        #expect(time < .seconds(20))
                        return []
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(refusals.isEmpty, "\(refusals)")
                for (run, deliveries) in runs {
                    #expect(try await followed.interrupts.record(of: run)?.stage == .terminate)
                    #expect(Set(deliveries.all.map(\.signal.id)) == [stop.id])
                }
            }
        }
    }

    @Test func `a demoted server that stays up, and closes no connection, is left all the same`() async throws {
        try await withSentinels { servers in
            // Without the poll nothing but the connections' own care leads away from the old server.
            try await withFollowed(servers.endpoint, ways: [.push, .tracked]) { followed in
                let (run, deliveries) = try await followed.run("pushed")
                let (_, flagged) = try await followed.run("flagged")
                try await eventually("the replica has both runs") {
                    try await servers.servers[1].command("ZCARD", "interrupt/live").integer == 2
                }
                async let offers = followed.transport.offers(limit: 1)
                try await eventually("the queue is waited for") {
                    try await servers.servers[0].info("clients", "blocked_clients") == "1"
                }
                let promotion = try await servers.swap()
                try await eventually("all connections are to the new primary") {
                    let names = await Followed.connections(to: servers.servers[1])
                    return names?.isSuperset(of: Followed.worker) == true
                }
                let time = promotion.duration(to: .now)
                print("demotion: followed \(time) after the promotion")
                #expect(time < .seconds(20))
                try await eventually("keys are tracked on the new primary") {
                    Int(try await servers.servers[1].info("stats", "tracking_total_keys") ?? "") ?? 0 >= 6
                }
                _ = try await followed.interrupts.interrupt([.run(run)], stop)
                #expect(await deliveries.first()?.way == .push)
                // The reading after the reconnect, which tells nobody here, may still find the first one.
                try await eventually("a flag is heard of", every: .milliseconds(500)) {
                    if !flagged.all.isEmpty { return true }
                    try await servers.servers[1].command("SET", "interrupt:flagged", "1")
                    return false
                }
                #expect(await flagged.first()?.way == .tracked)
                // The wait that began on the old server goes on at the new one.
                let submission = try followed.submission("later")
                _ = try await followed.interrupts.submit(submission)
                #expect(try await offers.map(\.run) == [submission.run])
            }
        }
    }

    @Test func `all that speak TLS are followed as well, by whoever has a certificate`() async throws {
        try await withSentinels(speakTLS: true) { servers in
            var endpoint = try RedisEndpoint(url: servers.url)
            #expect(servers.url.hasPrefix("rediss+sentinel://"))
            let stranger = try await lastRefusal(of: endpoint)
            #expect(stranger?.message.contains("certificate") == true, "\(stranger?.message ?? "it is let in")")
            endpoint.tls = servers.certificates?.clientFiles
            try await withFollowed(endpoint) { followed in
                let (run, deliveries) = try await followed.run("j")
                try await eventually("the replica has the run") {
                    try await servers.servers[1].command("ZCARD", "interrupt/live").integer == 1
                }
                try await servers.watchClosely()
                try await servers.servers[0].kill()
                try await servers.promotion(of: servers.servers[1])
                async let refusals = followed.insist(on: run, stop)
                try await followed.acknowledge(deliveries, of: run)
                #expect(try await refusals.isEmpty)
                #expect(deliveries.all.first?.signal.id == stop.id)
            }
        }
    }

    @Test func `sentinels with a password are asked with it, and the master without`() async throws {
        try await withSentinels(password: "s3ntinel") { servers in
            try await during(servers.endpoint) { client in
                let reply = try await client.send(RedisCommand("SET", "a", "1"))
                #expect(reply == .status("OK"))
            }
            let file = try #require(servers.passwordFile)
            _ = try writeSecret("other", to: file)
            for (wrong, answer) in [(nil, "NOAUTH"), (file, "WRONGPASS")] as [(String?, String)] {
                let nodes = servers.sentinels.map(\.node)
                let sentinels = RedisSentinels(nodes, master: TestSentinels.name, passwordFile: wrong)
                let error = try await lastRefusal(of: RedisEndpoint(address: .sentinels(sentinels)))
                #expect(error?.code == .refusedBySentinels)
                for node in nodes {
                    let part = "sentinel \(node): \(answer)"
                    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
                }
            }
        }
    }

    @Test func `a write that meets a replica goes to the master`() async throws {
        try await withSentinels { servers in
            try await during(servers.endpoint) { client in
                try await client.send(RedisCommand("SET", "a", "1"))
                _ = try await servers.swap()
                let reply = try await client.send(RedisCommand("SET", "a", "2"), timeout: .seconds(20))
                #expect(reply == .status("OK"))
                #expect(try await servers.servers[1].command("GET", "a").text == "2")
            }
        }
    }

    @Test func `the next one is asked when one is dead, hangs, or names a server that is no master`() async throws {
        try await withSentinels { servers in
            let (dead, hanging, stale) = (servers.sentinels[0], servers.sentinels[1], servers.sentinels[2])
            try await dead.kill()
            hanging.stop()
            defer { hanging.resume() }
            let start = ContinuousClock.now
            var found: RedisEndpoint?
            // The third one, too, has half a second for its answer.
            try await eventually("the third one is heard") {
                guard let connection = try? await RedisConnection.connect(to: servers.endpoint) else { return false }
                connection.close()
                found = connection.endpoint
                return true
            }
            #expect(found?.address == servers.servers[0].endpoint.address)
            #expect(start.duration(to: .now) < .seconds(20))

            // The only one left names a replica, as one that has missed a fail-over does.
            try await stale.command("SENTINEL", "REMOVE", "main")
            try await stale.command("SENTINEL", "MONITOR", "main", "127.0.0.1", "\(servers.servers[1].port)", "2")
            var error: RedisError?
            try await eventually("it is no master but a replica") {
                error = await refusal(of: servers.endpoint)
                return error?.message.contains("it is no master but a replica") == true
            }
            #expect(error?.code == .cannotConnect)
        }
    }

    @Test func `a name that none of them knows is a wrong setting`() async throws {
        try await withSentinels { servers in
            var endpoint = servers.endpoint
            endpoint.password = "s3cret"
            endpoint.address = .sentinels(RedisSentinels(servers.sentinels.map(\.node), master: "other"))
            let error = try await lastRefusal(of: endpoint)
            #expect(error?.code == .wrongSettings)
            for sentinel in servers.sentinels {
                let part = "sentinel \(sentinel.node) does not know 'other'"
                #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
            }
            #expect(error?.message.contains("s3cret") == false)
        }
    }

    @Test func `that all are dead each one is named`() async throws {
        let nodes = [
            RedisNode(host: "127.0.0.1", port: try freeLoopbackPort()), RedisNode(host: "no.invalid", port: 1),
        ]
        let endpoint = RedisEndpoint(address: .sentinels(RedisSentinels(nodes, master: "main")))
        let error = await refusal(of: endpoint)
        #expect(error?.code == .cannotConnect)
        let message = error?.message ?? ""
        #expect(message.contains("sentinel \(nodes[0]): connection refused"), "\(message)")
        #expect(message.contains("sentinel no.invalid:1: "), "\(message)")
    }

    @Test func `a server that is no sentinel is said to be none`() async throws {
        try await withRedis(tcp: true) { redis in
            let node = RedisNode(host: "127.0.0.1", port: redis.port!)
            let endpoint = RedisEndpoint(address: .sentinels(RedisSentinels([node], master: "main")))
            let error = try await lastRefusal(of: endpoint)
            #expect(error?.message.contains("unknown command") == true, "\(error?.message ?? "")")
        }
    }

    private func refusal(of endpoint: RedisEndpoint) async -> RedisError? {
        await #expect(throws: RedisError.self) { try await RedisConnection.connect(to: endpoint) }
    }

    /// The refusal when all sentinels have answered: each has half a second, in which a busy machine may not let it.
    private func lastRefusal(of endpoint: RedisEndpoint) async throws -> RedisError? {
        var error: RedisError?
        try await eventually("all answer in time") {
            error = await refusal(of: endpoint)
            return error?.message.contains("in time") != true
        }
        return error
    }

    /// Runs `body` with a client that keeps a connection.
    private func during(_ endpoint: RedisEndpoint, _ body: (RedisClient) async throws -> Void) async throws {
        let client = RedisClient(endpoint: endpoint, configuration: .patient)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await client.run() }
            defer { group.cancelAll() }
            try await body(client)
        }
    }
}
