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

    @Test(arguments: ["j", "group:g", "queue:default", "worker:w1", "all", ""])
    func `by the poll alone, as a flag or a request`(target: String) async throws {
        try await withWatching(ways: [.poll], pollInterval: .milliseconds(30)) { watching in
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            // The batch that reads a new run's keys is over; from now on only the poll reads them.
            try await watching.scene.until { try await watching.scene.polls() > 6 }
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
            try await watching.kill(connection)
            try await watching.scene.until {
                let list = try await watching.scene.command("CLIENT", "LIST").text ?? ""
                let isBack = list.contains("name=interruptd:w1 ") && list.contains("name=interrupt-push:w1 ")
                let tracking = list.split(separator: "\n").first { $0.contains("name=interruptd:w1 ") }
                let push = list.split(separator: "\n").first { $0.contains("name=interrupt-push:w1 ") }
                let id = push?.split(separator: " ")[0].dropFirst("id=".count)
                return isBack && tracking?.contains("redir=\(id ?? "none")") == true
            }
            try await watching.isReady(tracking: 5)
            try await watching.scene.command("SET", "interrupt:j", "1")
            #expect(await deliveries.first()?.way == .tracked)
        }
    }

    @Test func `50 times of 50 within a poll interval when the subscription dies at that moment`() async throws {
        try await withWatching(pollInterval: .seconds(1), probeInterval: .seconds(3)) { watching in
            try await watching.isReady()
            var times: [Duration] = []
            var ways: [DeliveryWay: Int] = [:]
            for index in 0..<50 {
                let reads = try await watching.scene.polls()
                let (run, deliveries) = try await watching.run("j\(index)")
                // The reading of a new run's keys is over, so the message is lost or a later reading finds it.
                try await watching.scene.until { try await watching.scene.polls() > reads }
                try await watching.kill("interrupt-push:w1")
                let start = ContinuousClock.now
                _ = try await watching.scene.interrupt(run, InterruptSignal())
                let delivery = try #require(await deliveries.first())
                times.append(start.duration(to: delivery.at))
                ways[delivery.way, default: 0] += 1
                watching.transport.unwatch(run)
                try await watching.transport.end(run, as: RunEnding(state: .interrupted))
            }
            print("subscription killed: 50 of 50, slowest \(times.max()!), by \(ways.map { "\($0.key) \($0.value)" })")
            // A lost push costs a poll interval with its jitter; the rest is room for a busy machine.
            #expect(times.allSatisfy { $0 < .milliseconds(1_600) })
        }
    }

    @Test func `300 times of 300 when it is asked around the moment the run is first watched`() async throws {
        try await withWatching { watching in
            try await watching.isReady()
            let other = try await watching.scene.another()
            var lost = 0
            var ways: [DeliveryWay: Int] = [:]
            for index in 0..<300 {
                let (order, _) = try await watching.start("j\(index)")
                let deliveries = Deliveries()
                async let receipt = other.interrupt(order.run, InterruptSignal())
                let until = ContinuousClock.now + .microseconds(index)
                while ContinuousClock.now < until {}
                watching.transport.watch(order) { deliveries.add($0, $1) }
                _ = try await receipt
                let delivery = await withTaskGroup(of: Deliveries.Delivery?.self) { group in
                    group.addTask { await deliveries.first() }
                    group.addTask {
                        try? await Task.sleep(for: .seconds(5))  // cancelled: the delivery came
                        return nil
                    }
                    defer { group.cancelAll() }
                    return await group.next() ?? nil
                }
                if let delivery { ways[delivery.way, default: 0] += 1 } else { lost += 1 }
                watching.transport.unwatch(order.run)
            }
            print("asked 0-300 us around watch(): lost \(lost) of 300, by \(ways.map { "\($0.key) \($0.value)" })")
            #expect(lost == 0)
        }
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

    @Test func `again when the same wide flag is set for the next run`() async throws {
        try await withWatching(ways: [.poll], pollInterval: .milliseconds(200)) { watching in
            for round in 0..<4 {
                let (run, deliveries) = try await watching.run("j\(round)")
                try await watching.scene.command("SET", "interrupt:queue:default", "1")
                #expect(await deliveries.first() != nil, "round \(round)")
                try await watching.scene.until { try await !watching.scene.exists("interrupt:queue:default") }
                watching.transport.unwatch(run)
                try await watching.transport.end(run, as: RunEnding(state: .interrupted))
            }
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

@Suite(.serialized, .timeLimit(.minutes(1))) struct `The watch` {
    @Test(arguments: [
        (["&*", "-client|tracking"], "tracked keys are refused"),
        (["&interrupt:signals*", "&interrupt:events"], "a channel is refused"),
    ])
    func `goes on without tracking where that is refused, and says so once`(rules: [String], line: String) async throws
    {
        func asWorker(_ redis: TestRedis) -> RedisEndpoint {
            var endpoint = redis.endpoint
            (endpoint.username, endpoint.password) = ("w", "p")
            return endpoint
        }
        func addUser(_ scene: Scene) async throws {
            let user = try await RedisConnection.connect(to: scene.redis.endpoint)
            defer { user.close() }
            try await user.send(
                RedisCommand(
                    "ACL",
                    ["SETUSER", "w", "on", ">p", "~*", "resetchannels", "+@all"] + rules.map { .text($0) }
                )
            )
        }
        try await withWatching(pollInterval: .milliseconds(50), endpoint: asWorker, prepare: addUser) { watching in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j")
            _ = try await watching.scene.interrupt(run, InterruptSignal())
            #expect(await deliveries.first()?.way == .push)
            let (_, others) = try await watching.run("k")
            try await watching.scene.command("SET", "interrupt:k", "1")
            #expect(await others.first() != nil)
            try await watching.kill("interrupt-push:w1")
            try await watching.isReady()
            let polls = try await watching.scene.polls()
            try await watching.scene.until { try await watching.scene.polls() > polls + 3 }
            #expect(watching.lines.count(line) == 1, "\(watching.lines.all)")
        }
    }

    @Test func `notices a subscription that stays connected and delivers nothing, as to a node that was demoted`()
        async throws
    {
        func link(_ redis: TestRedis) -> String { "\(redis.directory)/current.sock" }
        func throughLink(_ redis: TestRedis) -> RedisEndpoint {
            symlink(redis.socketPath, link(redis))
            return RedisEndpoint(address: .unix(path: link(redis)))
        }
        try await withWatching(ways: [.push], probeInterval: .milliseconds(50), endpoint: throughLink) { watching in
            try await watching.isReady()
            try await withRedis { promoted in
                symlink(promoted.socketPath, link(promoted))
                #expect(rename(link(promoted), link(watching.scene.redis)) == 0)
                // Commands go to the new server; the subscription stays with the old one, which answers its PING.
                try await watching.kill("interruptd:w1")
                let other = try await Scene(redis: promoted, endpoint: promoted.endpoint)
                try await other.until {
                    try await other.command("PUBSUB", "NUMSUB", "interrupt:signals:w1").array?.last?.integer == 1
                }
                #expect(watching.lines.count("the push path is silent") >= 1)
                other.connection.close()
            }
        }
    }

    @Test func `of 100 idle runs costs as many commands as that of one, at most 4 a second`() async throws {
        func commandsIn5Seconds(runs: Int) async throws -> Double {
            try await withWatching(pollInterval: .seconds(1), probeInterval: .seconds(3)) { watching in
                try await watching.isReady()
                for index in 0..<runs { _ = try await watching.run("j\(index)", groups: ["g"]) }
                let keys = Int64(runs * 2 + 4)
                try await watching.isReady(tracking: keys)
                // The worker waits for offers as it does when it has free slots.
                let waiting = Task { _ = try? await watching.transport.offers(limit: 1) }
                defer { waiting.cancel() }
                let monitor = try await RedisConnection.connect(to: watching.scene.redis.endpoint)
                defer { monitor.close() }
                let before = try await watching.scene.info("stats", "total_commands_processed")
                let clock = ContinuousClock.now
                // The figure is one over time, so time has to pass.
                try await Task.sleep(for: .seconds(5))
                let after = try await watching.scene.info("stats", "total_commands_processed")
                let seconds = clock.duration(to: .now) / .seconds(1)
                return Double(after - before - 1) / seconds
            }
        }
        async let one = commandsIn5Seconds(runs: 1)
        async let hundred = commandsIn5Seconds(runs: 100)
        let (ofOne, ofHundred) = try await (one, hundred)
        print("idle commands per second: \(ofOne) for 1 run, \(ofHundred) for 100 runs")
        #expect(ofOne <= 4 && ofHundred <= 4)
        // One poll more or less falls into the window, by jitter and by where it begins.
        #expect(abs(ofOne - ofHundred) <= 0.9)
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `The queue connection` {
    @Test func `offers all pending entries after a restart, however many are asked for at a time`() async throws {
        func leavePending(_ scene: Scene) async throws {
            let earlier = try await ScriptWorker(scene, "w1", instance: "i1")
            for index in 0..<5 { try await scene.submit("j\(index)") }
            #expect(try await earlier.offers().count == 5)
        }
        try await withWatching(prepare: leavePending) { watching in
            try await watching.scene.submit("new")
            var offers: [RunOffer] = []
            while offers.count < 6 { offers += try await watching.transport.offers(limit: 2) }
            #expect(Set(offers.map(\.run)).count == 6)
            for offer in offers {
                guard case .started = try await watching.transport.start(offer) else { Issue.record("gone"); continue }
            }
        }
    }

    @Test func `offers at most what was asked for, the first queue first`() async throws {
        try await withWatching(queues: ["urgent", "default"]) { watching in
            for queue in ["default", "urgent"] {
                for index in 0..<3 { try await watching.scene.submit("\(queue)\(index)", queue: queue) }
            }
            let first = try await watching.transport.offers(limit: 2)
            let second = try await watching.transport.offers(limit: 2)
            let third = try await watching.transport.offers(limit: 2)
            #expect(first.map(\.queue.description) == ["urgent", "urgent"])
            #expect(second.map(\.queue.description) == ["urgent", "default"])
            #expect(third.map(\.queue.description) == ["default", "default"])
        }
    }

    @Test func `gives back on leaving what was offered and not started`() async throws {
        try await withWatching { watching in
            let run = try await watching.scene.submit("j")
            let waiting = Task { try await watching.transport.offers(limit: 1) }
            #expect(try await waiting.value.map(\.run) == [run])
            let start = ContinuousClock.now
            let idle = Task { try await watching.transport.offers(limit: 1) }
            try await watching.scene.until {
                (try await watching.scene.command("CLIENT", "LIST").text ?? "").contains("cmd=xreadgroup")
            }
            idle.cancel()
            _ = await idle.result
            await watching.transport.leave()
            print("leaving took \(start.duration(to: .now))")
            let other = try await ScriptWorker(watching.scene, "w2", instance: "i2")
            #expect(try await other.startAll() == [run])
            #expect(try await watching.scene.client.workers().map(\.name) == ["w2"])
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
    func polls() async throws -> Int {
        let text = try await command("INFO", "commandstats").text ?? ""
        let line = text.split(separator: "\r\n").first { $0.hasPrefix("cmdstat_mget:calls=") }
        return line.flatMap { Int($0.dropFirst("cmdstat_mget:calls=".count).prefix { $0 != "," }) } ?? 0
    }
}
