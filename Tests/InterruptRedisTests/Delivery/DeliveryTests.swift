import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `An interrupt arrives` {
    private let plain = InterruptSignal(message: "stop", triggeredBy: "ops")

    @Test func `by push alone`() async throws {
        try await withWatching(ways: [.push]) { watching in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j")
            let start = ContinuousClock.now
            _ = try await watching.scene.interrupt(run, plain)
            let delivery = try #require(await deliveries.first())
            print("push alone: delivered \(start.duration(to: delivery.at)) after the call began")
            #expect(delivery.way == .push && delivery.signal.id == plain.id && delivery.signal.message == "stop")
            try await watching.transport.acknowledge(delivery.signal, way: delivery.way, for: run)
            #expect(try await watching.scene.client.record(of: run)?.way == .push)
        }
    }

    @Test(
        arguments: ["j", "group:g", "queue:default", "worker:w1", "all"],
        ["1", "{\"reason\":\"timeout\",\"stage\":3}"]
    )
    func `by a tracked key alone, when somebody sets a flag`(target: String, value: String) async throws {
        try await withWatching(ways: [.tracked]) { watching in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.isReady(tracking: 6)
            let start = ContinuousClock.now
            try await watching.scene.command("SET", "interrupt:\(target)", value)
            let delivery = try #require(await deliveries.first())
            print(
                "tracked alone, \(target) \(value): delivered \(start.duration(to: delivery.at)) after the call began"
            )
            #expect(delivery.way == .tracked)
            #expect(delivery.signal.stage == (value == "1" ? .terminate : .kill))
            #expect(delivery.signal.reason == (value == "1" ? .userCancelled : .timeout))
            try await watching.transport.acknowledge(delivery.signal, way: delivery.way, for: run)
            #expect(try await watching.scene.client.record(of: run)?.way == .tracked)
            try await watching.scene.until { try await !watching.scene.exists("interrupt:\(target)") }
        }
    }

    @Test func `by a job's flag also when the server has forgotten the run`() async throws {
        try await withWatching(ways: [.tracked]) { watching in
            try await watching.isReady()
            let (_, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.isReady(tracking: 6)
            try await watching.scene.command("FLUSHALL")
            try await watching.scene.command("SET", "interrupt:j", "1")
            #expect(try #require(await deliveries.first()).signal.source == .flag)
            try await watching.scene.until { try await !watching.scene.exists("interrupt:j") }
        }
    }

    @Test(arguments: ["group:g", "queue:default", "worker:w1", "all"])
    func `by a flag on many also when the server has forgotten the run, and no other run`(flag: String) async throws {
        try await withWatching(ways: [.tracked], queues: ["default", "other"]) { watching in
            try await watching.isReady()
            let (_, others) = try await watching.run("k", queue: "other")
            let (_, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.isReady(tracking: 9)
            try await watching.scene.command("FLUSHALL")
            try await watching.scene.command("SET", "interrupt:\(flag)", "1")
            let signal = try #require(await deliveries.first()).signal
            #expect(signal.source == .flag && signal.target?.description == flag)
            try await watching.scene.until { try await !watching.scene.exists("interrupt:\(flag)") }
            #expect(others.all.map(\.signal.id) == (["worker:w1", "all"].contains(flag) ? [signal.id] : []))
        }
    }

    @Test(arguments: ["j", "all"])
    func `by a flag that could not be taken in, long before the next poll`(flag: String) async throws {
        try await withWatching(ways: [.tracked]) { watching in
            try await watching.isReady()
            let (_, deliveries) = try await watching.run("j")
            try await watching.isReady(tracking: 5)
            let scripts = ["-evalsha", "-eval"]
            for right in scripts { try await watching.scene.command("ACL", "SETUSER", "default", right) }
            try await watching.scene.command("SET", "interrupt:\(flag)", "1")
            try await watching.scene.until { watching.lines.count("could not take a flag") >= 2 }
            #expect(deliveries.all.isEmpty)
            try await watching.scene.command("ACL", "SETUSER", "default", "+@all")
            #expect(try #require(await deliveries.first()).signal.source == .flag)
        }
    }

    @Test(arguments: ["j", "group:g", "queue:default", "worker:w1", "all", ""])
    func `by the poll alone, as a flag or a request`(target: String) async throws {
        try await withWatching(ways: [.poll], pollInterval: .milliseconds(30)) { watching in
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.isOnlyPolling()
            if target.isEmpty {
                _ = try await watching.scene.interrupt(run, plain)
            } else {
                try await watching.scene.command("SET", "interrupt:\(target)", "1")
            }
            let delivery = try #require(await deliveries.first())
            #expect(delivery.way == .poll && delivery.signal.stage == .terminate)
            try await watching.transport.acknowledge(delivery.signal, way: delivery.way, for: run)
            #expect(try await watching.scene.client.record(of: run)?.way == .poll)
        }
    }

    @Test(arguments: ["interrupt-push:w1", "interruptd:w1"])
    func `by the reading after a reconnect alone, when it fell into the gap`(connection: String) async throws {
        try await withWatching(ways: [.reconnect]) { watching in
            try await watching.isReady()
            try await watching.scene.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
            let (run, deliveries) = try await watching.run("j")
            // The new run's keys were read: what comes now is found by a later reading.
            try await watching.scene.until { try await watching.scene.hasRead("interrupt/request/\(run)") }
            let connections = try await watching.scene.info("stats", "total_connections_received")
            try await watching.kill(connection, andInterrupt: run, plain)
            let delivery = try #require(await deliveries.first())
            #expect(delivery.way == .reconnect && delivery.signal.id == plain.id)
            #expect(try await watching.scene.info("stats", "total_connections_received") > connections)
        }
    }

    @Test(arguments: ["interrupt-push:w1", "interruptd:w1"])
    func `by a tracked key also after either connection was made anew`(connection: String) async throws {
        try await withWatching(ways: [.tracked]) { watching in
            try await watching.isReady()
            let (_, deliveries) = try await watching.run("j")
            try await watching.isReady(tracking: 5)
            let reads = try await watching.scene.polls()
            try await watching.kill(connection)
            try await watching.scene.until {
                let list = try await watching.scene.command("CLIENT", "LIST").text ?? ""
                let isBack = list.contains("name=interruptd:w1 ") && list.contains("name=interrupt-push:w1 ")
                let tracking = list.split(separator: "\n").first { $0.contains("name=interruptd:w1 ") }
                let push = list.split(separator: "\n").first { $0.contains("name=interrupt-push:w1 ") }
                let id = push?.split(separator: " ")[0].dropFirst("id=".count)
                return isBack && tracking?.contains("redir=\(id ?? "none")") == true
            }
            // The reading after the reconnect, which arms the keys again.
            try await watching.scene.until { try await watching.scene.polls() > reads }
            try await watching.scene.command("SET", "interrupt:j", "1")
            #expect(await deliveries.first()?.way == .tracked)
        }
    }

    @Test func `50 times of 50 within a poll interval when the subscription dies at that moment`() async throws {
        let found = try await withThrowingTaskGroup(of: [LateDelivery].self) { group in
            // Each with a server of its own: most of the time is spent waiting for the poll.
            for _ in 0..<5 { group.addTask { try await deliveriesWithoutPush(10) } }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let ways = Dictionary(grouping: found, by: \.way).map { "\($0.key) \($0.value.count)" }
        let slowest = found.map(\.time).max() ?? .zero
        print("subscription killed: \(found.count) of 50, slowest \(slowest), by \(ways)")
        // A lost push costs the reading after the reconnect, or a poll. More come while the test has no processor.
        #expect(found.count == 50 && found.allSatisfy { $0.reads <= 5 } && slowest < .seconds(20))
    }

    private typealias LateDelivery = (time: Duration, reads: Int, way: DeliveryWay)

    /// How long requests take whose subscription is killed just before, and after how many readings and how they come.
    private func deliveriesWithoutPush(_ count: Int) async throws -> [LateDelivery] {
        var found: [LateDelivery] = []
        try await withWatching(pollInterval: .seconds(1), probeInterval: .seconds(3)) { watching in
            try await watching.isReady()
            for index in 0..<count {
                let reads = try await watching.scene.polls()
                let (run, deliveries) = try await watching.run("j\(index)")
                // The reading of a new run's keys is over, so the message is lost or a later reading finds it.
                try await watching.scene.until { try await watching.scene.polls() > reads }
                let before = try await watching.scene.polls()
                try await watching.kill("interrupt-push:w1")
                let start = ContinuousClock.now
                _ = try await watching.scene.interrupt(run, InterruptSignal())
                let delivery = try #require(await deliveries.first())
                let time = start.duration(to: delivery.at)
                found.append((time, try await watching.scene.polls() - before, delivery.way))
                watching.transport.unwatch(run)
                try await watching.transport.end(run, as: RunEnding(state: .interrupted))
            }
        }
        return found
    }

    @Test func `once by a bare message that only names its target`() async throws {
        try await withWatching(pollInterval: .milliseconds(30)) { watching in
            try await watching.isReady()
            let (_, deliveries) = try await watching.run("j", groups: ["g"])
            let (_, others) = try await watching.run("k")
            try await watching.scene.command("PUBLISH", "interrupt:signals", "{\"target\":\"j\"}")
            #expect(await deliveries.first()?.signal.source == .message)
            try await watching.scene.command("PUBLISH", "interrupt:signals:w1", "{\"target\":\"group:g\",\"stage\":3}")
            try await watching.scene.until { deliveries.all.count == 2 }
            #expect(deliveries.all[1].signal.stage == .kill)
            let polls = try await watching.scene.polls()
            try await watching.scene.until { try await watching.scene.polls() > polls + 5 }
            #expect(deliveries.all.count == 2 && others.all.isEmpty)
        }
    }

    @Test func `again when the same flag is set at once, before it was seen that it had gone`() async throws {
        try await withWatching(ways: [.poll], pollInterval: .milliseconds(400)) { watching in
            let (_, deliveries) = try await watching.run("nightly")
            try await watching.isOnlyPolling()
            for value in ["{\"stage\":1}", "{\"stage\":1}", "1"] {
                try await watching.scene.command("SET", "interrupt:nightly", value)
                try await watching.scene.until { try await !watching.scene.exists("interrupt:nightly") }
            }
            try await watching.scene.until { deliveries.all.last?.signal.stage == .terminate }
        }
    }

    @Test func `again when the same wide flag is set for the next run`() async throws {
        try await withWatching(ways: [.poll], pollInterval: .milliseconds(200)) { watching in
            for round in 0..<4 {
                let (run, deliveries) = try await watching.run("j\(round)")
                try await watching.isOnlyPolling()
                try await watching.scene.command("SET", "interrupt:queue:default", "1")
                #expect(await deliveries.first() != nil, "round \(round)")
                try await watching.scene.until { try await !watching.scene.exists("interrupt:queue:default") }
                watching.transport.unwatch(run)
                try await watching.transport.end(run, as: RunEnding(state: .interrupted))
            }
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct `An interrupt at the first moment arrives` {
    @Test func `1,000 times of 1,000 when it is asked around the moment the run is first watched`() async throws {
        try await withWatching { watching in
            try await watching.isReady()
            let other = try await watching.scene.another()
            var lost = 0
            var ways: [DeliveryWay: Int] = [:]
            for index in 0..<1_000 {
                let (order, _) = try await watching.start("j\(index)")
                let deliveries = Deliveries()
                async let receipt = other.interrupt(order.run, InterruptSignal())
                let until = ContinuousClock.now + .microseconds(index % 300)
                while ContinuousClock.now < until {}
                watching.transport.watch(order) { deliveries.add($0, $1) }
                _ = try await receipt
                let delivery = await withTaskGroup(of: Deliveries.Delivery?.self) { group in
                    group.addTask { await deliveries.first() }
                    group.addTask {
                        try? await Task.sleep(for: .seconds(20))  // cancelled: the delivery came
                        return nil
                    }
                    defer { group.cancelAll() }
                    return await group.next() ?? nil
                }
                if let delivery { ways[delivery.way, default: 0] += 1 } else { lost += 1 }
                watching.transport.unwatch(order.run)
            }
            print("asked 0-300 us around watch(): lost \(lost) of 1,000, by \(ways.map { "\($0.key) \($0.value)" })")
            #expect(lost == 0)
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `What is no interrupt` {
    @Test func `on a channel is passed over and said once`() async throws {
        try await withWatching { watching in
            try await watching.isReady()
            let (_, deliveries) = try await watching.run("j")
            for _ in 0..<20 {
                for text in ["", "garbage", "{\"stage\":9,\"target\":\"j\"}", "{\"v\":2,\"target\":\"j\"}"] {
                    try await watching.scene.command("PUBLISH", "interrupt:signals", text)
                }
            }
            try await watching.scene.command("PUBLISH", "interrupt:signals", "{\"target\":\"j\",\"reason\":\"custom\"}")
            #expect(await deliveries.first()?.signal.reason == .custom)
            #expect(deliveries.all.count == 1)
            #expect(watching.lines.count("ignored what is no interrupt") == 3, "\(watching.lines.all)")
        }
    }

    @Test func `in a flag stays there, is said once, and hides no interrupt`() async throws {
        try await withWatching(pollInterval: .milliseconds(30)) { watching in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.scene.command("SET", "interrupt:j", " 1")
            try await watching.scene.command("SET", "interrupt:group:g", "{\"stage\":\"two\"}")
            try await watching.scene.command("RPUSH", "interrupt:queue:default", "x")
            try await watching.scene.command("SET", "interrupt:all", "0")
            try await watching.scene.until { watching.lines.count("ignored what is no interrupt") == 2 }
            let polls = try await watching.scene.polls()
            try await watching.scene.until { try await watching.scene.polls() > polls + 35 }
            #expect(deliveries.all.isEmpty)
            #expect(watching.lines.count("ignored what is no interrupt") == 2, "\(watching.lines.all)")
            #expect(try await watching.scene.command("GET", "interrupt:j").text == " 1")
            _ = try await watching.scene.interrupt(run, InterruptSignal())
            #expect(await deliveries.first() != nil)
        }
    }
}

extension Scene {
    /// Whether an MGET of the key is in the slow log.
    func hasRead(_ key: String) async throws -> Bool {
        let entries = try await command("SLOWLOG", "GET", "128").array ?? []
        return entries.contains { entry in
            let words = entry.array?[3].array?.compactMap(\.text) ?? []
            return words.first == "MGET" && words.contains(key)
        }
    }

    /// How many reads of flags the server has answered.
    func polls() async throws -> Int { try await calls()["mget"] ?? 0 }

    /// How often the server has carried out each command.
    func calls() async throws -> [Substring: Int] {
        let text = try await command("INFO", "commandstats").text ?? ""
        return text.split(separator: "\r\n").filter { $0.hasPrefix("cmdstat_") }.reduce(into: [:]) { calls, line in
            let parts = line.dropFirst("cmdstat_".count).split(separator: ":calls=")
            calls[parts[0]] = parts.dropFirst().first.flatMap { Int($0.prefix { $0 != "," }) }
        }
    }
}
