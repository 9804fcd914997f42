import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `On a cluster` {
    private let stop = InterruptSignal(message: "stop", triggeredBy: "ops")

    /// A namespace whose keys are on the first master.
    private func namespace(on cluster: TestCluster) async throws -> (name: String, slot: Int) {
        for number in 0..<100 {
            let slot = try await cluster.slot(of: "{team\(number)}")
            if slot < 16_384 / 3 { return ("{team\(number)}", slot) }
        }
        throw Failure(description: "no namespace is on the first master")
    }

    private func endpoint(_ server: LoopbackServer, _ namespace: String) throws -> RedisEndpoint {
        var endpoint = server.endpoint
        endpoint.keys = try RedisKeys(namespace: namespace)
        return endpoint
    }

    private func connections(to server: LoopbackServer, are names: Set<String>) async throws {
        try await eventually("a worker's connections to port \(server.port) are \(names)") {
            await Followed.connections(to: server) == names
        }
    }

    @Test func `every node leads to the one that has the keys`() async throws {
        try await withCluster { cluster in
            let (name, _) = try await namespace(on: cluster)
            for node in cluster.masters {
                let endpoint = try endpoint(node, name)
                let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
                defer { connection.close() }
                #expect(connection.endpoint.address == cluster.masters[0].endpoint.address)
                #expect(try await connection.send(RedisCommand("SET", "\(name):j", "1")) == .status("OK"))
            }
            // The subscription and the queue too, although neither would be told.
            try await withFollowed(cluster.masters[1].endpoint, namespace: name, ways: [.push, .tracked]) { followed in
                try await connections(to: cluster.masters[0], are: Followed.worker)
                try await connections(to: cluster.masters[1], are: [])
                let (run, deliveries) = try await followed.run("j")
                _ = try await followed.interrupts.interrupt([.run(run)], stop)
                #expect(await deliveries.first()?.way == .push)
                let (_, flagged) = try await followed.run("k")
                try await eventually("keys are tracked") {
                    Int(try await cluster.masters[0].info("stats", "tracking_total_keys") ?? "") ?? 0 >= 6
                }
                try await cluster.masters[0].command("SET", "\(name):k", "1")
                #expect(await flagged.first()?.way == .tracked)
            }
        }
    }

    @Test func `a namespace without braces is refused in one line that says what to do`() async throws {
        try await withCluster { cluster in
            for node in cluster.masters {
                let endpoint = try endpoint(node, "interrupt")
                let error = await #expect(throws: RedisError.self) {
                    try await RedisConnection.connect(to: endpoint, configuration: .patient)
                }
                #expect(error?.code == .unsuitableNamespace)
                let advice = "is a cluster: pass --namespace '{interrupt}'"
                #expect(error?.message.contains(advice) == true, "\(error?.message ?? "")")
            }
        }
    }

    @Test func `a slot that moves during interrupts loses none, and its new owner is followed`() async throws {
        try await withCluster { cluster in
            let (name, slot) = try await namespace(on: cluster)
            try await withFollowed(cluster.masters[1].endpoint, namespace: name) { followed in
                let runs = try await followed.runs(100)
                let refusals = try await withThrowingTaskGroup(of: [RedisError].self) { group in
                    for (number, (run, deliveries)) in runs.enumerated() {
                        group.addTask {
                            try await Task.sleep(for: .milliseconds(10 * number))
                            return try await followed.insist(on: run, stop)
                        }
                        group.addTask {
                            try await followed.acknowledge(deliveries, of: run)
                            return []
                        }
                    }
                    group.addTask {
                        for (number, node) in [(20, 1), (40, 2), (60, 0)] {
                            try await eventually("run \(number) is interrupted") { !runs[number].1.all.isEmpty }
                            try await cluster.migrate(slot, to: cluster.masters[node])
                        }
                        return []
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(refusals.isEmpty, "\(refusals)")
                for (run, deliveries) in runs {
                    #expect(try await followed.interrupts.record(of: run)?.stage == .terminate)
                    #expect(Set(deliveries.all.map(\.signal.id)) == [stop.id])
                }
                try await cluster.migrate(slot, to: cluster.masters[2])
                // The connection of the queue moves with its next question.
                let (run, deliveries) = try await followed.run("later")
                try await connections(to: cluster.masters[2], are: Followed.worker)
                for node in [0, 1] { try await connections(to: cluster.masters[node], are: []) }
                _ = try await followed.interrupts.interrupt([.run(run)], stop)
                #expect(await deliveries.first() != nil)
            }
        }
    }

    @Test func `while a slot is between two nodes a script runs on neither, and other commands find their key`()
        async throws
    {
        try await withCluster { cluster in
            let (name, slot) = try await namespace(on: cluster)
            let (old, new) = (cluster.masters[0], cluster.masters[1])
            // Who is refused asks again for three quarters of it.
            let limits = RedisConnectionConfiguration(commandTimeout: .seconds(4))
            try await withFollowed(cluster.masters[2].endpoint, namespace: name, connection: limits) { followed in
                let (run, _) = try await followed.run("j")
                let (other, _) = try await followed.run("k")
                try await cluster.beginMigration(of: slot, from: old, to: new)
                let moved = [followed.keys.run(run), followed.keys.history]
                try await old.command(["MIGRATE", "127.0.0.1", "\(new.port)", "", "0", "5000", "KEYS"] + moved)

                // Both, each from where it is: ASK for the first one.
                #expect(try await followed.interrupts.record(of: run)?.job.description == "j")
                #expect(try await followed.interrupts.record(of: other)?.job.description == "k")
                // What does not wait goes nowhere else.
                let claims = PresentConnection(client: followed.client)
                let refused = try await claims.send([RedisCommand("EXISTS", .init(followed.keys.run(run)))])
                #expect(refused.first?.errorText?.hasPrefix("ASK ") == true, "\(refused)")
                for run in [run, other] {
                    var error: RedisError?
                    repeat {
                        error = await #expect(throws: RedisError.self) {
                            _ = try await followed.interrupts.interrupt([.run(run)], stop)
                        }
                        // What a busy machine has not answered in the last quarter is not the refusal.
                    } while error?.code == .timedOut
                    // The new one is not reached where the old one says ASK when the time is up.
                    #expect(["TRYAGAIN", "ASK"].contains(error?.replyPrefix), "\(error as Any)")
                    #expect(error?.isOutcomeUnknown == false)
                }
                for node in [old, new] {
                    let count = try await node.command("CLUSTER", "COUNTKEYSINSLOT", "\(slot)").integer ?? 0
                    let keys = try await node.command("CLUSTER", "GETKEYSINSLOT", "\(slot)", "\(count)").array ?? []
                    #expect(!keys.contains { $0.text?.contains("/request/") == true })
                }

                try await cluster.moveKeys(of: slot, from: old, to: new)
                try await cluster.endMigration(of: slot, to: new)
                let receipts = try await followed.interrupts.interrupt([.run(run), .run(other)], stop)
                #expect(receipts.allSatisfy { $0.outcome == .accepted }, "\(receipts)")
            }
        }
    }

    @Test func `a killed owner's replica is found through the other nodes, even when it was all that was named`()
        async throws
    {
        try await withCluster(replica: true) { cluster in
            let (name, _) = try await namespace(on: cluster)
            let replica = try #require(cluster.replica)
            try await withFollowed(cluster.masters[0].endpoint, namespace: name) { followed in
                let (run, deliveries) = try await followed.run("j")
                try await eventually("the replica has the run") {
                    let offset = try await cluster.masters[0].info("replication", "master_repl_offset")
                    return try await replica.info("replication", "slave_repl_offset") == offset
                }
                try await cluster.masters[0].kill()
                // By itself it would take as long as a node may be silent.
                try await replica.command("CLUSTER", "FAILOVER", "TAKEOVER")
                try await eventually("the replica is promoted") {
                    (try? await replica.command("ROLE"))?.array?.first?.text == "master"
                }
                let promotion = ContinuousClock.now
                try await connections(to: replica, are: Followed.worker)
                let time = promotion.duration(to: .now)
                print("cluster: followed \(time) after the promotion")
                #expect(time < .seconds(20))
                _ = try await followed.interrupts.interrupt([.run(run)], stop)
                #expect(await deliveries.first()?.signal.id == stop.id)
            }
        }
    }
}
