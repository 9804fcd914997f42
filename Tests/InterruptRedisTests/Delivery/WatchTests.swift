import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Synchronization
import Testing

@testable import InterruptRedis

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
            let user = try await RedisConnection.connect(to: scene.redis.endpoint, configuration: .patient)
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
            // A poll may just come before the push.
            #expect([.push, .poll].contains(await deliveries.first()?.way))
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

    @Test(arguments: [DeliveryWay.push, .tracked])
    func `needs no server that speaks a newer protocol than RESP2`(way: DeliveryWay) async throws {
        try await withWatching(ways: [way], redis: ["--rename-command", "HELLO", ""]) { watching in
            await #expect(throws: RedisError.self) { try await watching.scene.command("HELLO", "3") }
            let (run, deliveries) = try await watching.run("j")
            try await watching.isReady(tracking: way == .tracked ? 5 : nil)
            _ = try await watching.scene.interrupt(run, InterruptSignal())
            #expect(await deliveries.first()?.way == way)
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
        // Long enough for a probe to come back on a busy machine: one that does not has the subscription follow, too.
        try await withWatching(ways: [.push], probeInterval: .milliseconds(1_500), endpoint: throughLink) { watching in
            func point(to redis: TestRedis) {
                symlink(redis.socketPath, "\(link(watching.scene.redis)).new")
                #expect(rename("\(link(watching.scene.redis)).new", link(watching.scene.redis)) == 0)
            }
            func isSubscribed(at scene: Scene) async throws {
                try await scene.until {
                    try await scene.command("PUBSUB", "NUMSUB", "interrupt:signals:w1").array?.last?.integer == 1
                }
            }
            try await watching.isReady()
            try await withRedis { promoted in
                // Commands go to the new server, and have the subscription follow, once.
                point(to: promoted)
                try await watching.kill("interruptd:w1")
                let other = try await Scene(redis: promoted, endpoint: promoted.endpoint)
                defer { other.connection.close() }
                try await isSubscribed(at: other)
                #expect(watching.lines.count("Redis is another server now") == 1)
                // Led back to the old one, which answers its PING, the subscription hears nothing.
                point(to: watching.scene.redis)
                let there = Watching(scene: other, transport: watching.transport, lines: watching.lines)
                try await there.kill("interrupt-push:w1")
                try await isSubscribed(at: watching.scene)
                point(to: promoted)
                try await isSubscribed(at: other)
                #expect(watching.lines.count("the push path is silent") >= 1)
            }
        }
    }

    @Test func `does not try its push path before the connection that it does so on is a second old`() async throws {
        try await withWatching(probeInterval: .milliseconds(50)) { watching in
            try await watching.isReady()
            let (events, sink) = AsyncStream.makeStream(of: String.self)
            let listener = try await watching.scene.another().connection
            try await listener.subscribe(["interrupt:signals:w1", "marker"]) { sink.yield($0.channel) }
            var heard = events.makeAsyncIterator()
            #expect(await heard.next() == "interrupt:signals:w1")
            let lost = ContinuousClock.now
            try await watching.kill("interruptd:w1")
            // What comes behind it was sent after the connection was lost.
            try await watching.scene.command("PUBLISH", "marker", "")
            while await heard.next() != "marker" {}
            #expect(await heard.next() == "interrupt:signals:w1")
            #expect(lost.duration(to: .now) >= .seconds(1))
        }
    }

    @Test func `says nothing when it is told to stop while it connects`() throws {
        let lines = LogLines()
        let board = WatchBoard(
            keys: try RedisKeys(),
            worker: try Name("w1"),
            queues: [],
            ways: [],
            logger: lines.logger
        )
        board.receive(.disconnected(RedisError(.cancelled, "SUBSCRIBE was not sent: the task was cancelled")))
        #expect(lines.all.isEmpty, "\(lines.all)")
    }

    @Test func `counts what is no interrupt, says it once for each place, and puts the number on record`() async throws
    {
        try await withWatching(pollInterval: .milliseconds(30)) { watching in
            try await watching.isReady()
            let (_, deliveries) = try await watching.run("j")
            for message in ["no JSON", "{}", #"{"target":"grp:x"}"#, #"{"target":"grp:x"}"#] {
                try await watching.scene.command("PUBLISH", "interrupt:signals", message)
            }
            try await watching.scene.command("SET", "interrupt:j", "maybe")
            // Messages and flags come on two connections.
            try await watching.scene.until {
                watching.transport.checker.malformedCount >= 5
                    && watching.lines.count("ignored what is no interrupt") >= 3
            }
            #expect(watching.lines.count("interrupt:j") == 1)
            #expect(watching.lines.count("no target that can be read") == 1)
            #expect(watching.lines.count("ignored what is no interrupt") == 3, "\(watching.lines.all)")
            _ = try await watching.transport.heartbeat(running: 0, live: [])
            #expect(try await watching.scene.client.worker("w1")?.malformed == 5)
            #expect(deliveries.all.isEmpty)
        }
    }

    @Test(arguments: [true, false])
    func `of 1,000 runs is one round trip a poll, and every key is armed and read`(isTracked: Bool) async throws {
        try await withScene { scene in
            let now = ContinuousClock.now
            var list = WatchList(keys: scene.keys, always: [.all], now: now)
            for index in 0..<1_000 {
                let run = RunID(rawValue: "r\(index)")
                let job = try Name("j\(index)")
                list.watch(RunOrder(run: run, job: job, queue: job, work: .command([[0x78]])), now: now)
                try await scene.command("SET", scene.keys.request(run), run.rawValue)
            }
            guard case .read(let read) = list.step(now: now, pollInterval: .seconds(1)) else {
                Issue.record("nothing to read")
                return
            }
            #expect(read.keys.count == 2_001)
            let receiver = try await RedisConnection.connect(to: scene.redis.endpoint, configuration: .patient)
            defer { receiver.close() }
            let id = try await receiver.send(RedisCommand("CLIENT", "ID")).integer ?? 0
            if isTracked { try await scene.command("CLIENT", "TRACKING", "ON", "REDIRECT", "\(id)", "OPTIN") }
            let counted = CountedWrites(connection: scene.connection)
            let values = try await counted.values(of: read.keys, isTracked: isTracked)
            #expect(counted.count == 1)
            for (key, value) in zip(read.keys, values) {
                #expect(value.text == (key.hasPrefix("interrupt/request/") ? String(key.dropFirst(18)) : nil))
            }
            #expect(values.count == 2_001)
            #expect(try await scene.info("stats", "tracking_total_keys") == (isTracked ? 2_001 : 0))
            let none = try await counted.values(of: [], isTracked: isTracked)
            #expect(none.isEmpty && counted.count == 1)
        }
    }

    @Test func `of 100 idle runs costs as many commands as that of one, at most 4 a second`() async throws {
        // A poll is a second, and what is counted by: what keeps a server from the one keeps it from the other.
        func commandsInFivePolls(runs: Int) async throws -> (aPoll: Double, aSecond: Double) {
            try await withWatching(pollInterval: .seconds(1), probeInterval: .seconds(3)) { watching in
                try await watching.isReady()
                for index in 0..<runs { _ = try await watching.run("j\(index)", groups: ["g"]) }
                let keys = Int64(runs * 2 + 4)
                try await watching.isReady(tracking: keys)
                // The worker waits for offers as it does when it has free slots.
                let waiting = Task { _ = try? await watching.transport.offers(limit: 1) }
                defer { waiting.cancel() }
                func counts() async throws -> (polls: Int, commands: Int) {
                    let calls = try await watching.scene.calls()
                    // INFO is only asked by this test.
                    return (calls["mget"] ?? 0, calls.filter { $0.key != "info" }.values.reduce(0, +))
                }
                let before = try await counts()
                let clock = ContinuousClock.now
                var after = before
                try await eventually("it has polled five times", every: .milliseconds(50)) {
                    after = try await counts()
                    return after.polls >= before.polls + 5
                }
                let seconds = clock.duration(to: .now) / .seconds(1)
                let commands = Double(after.commands - before.commands)
                return (commands / Double(after.polls - before.polls), commands / seconds)
            }
        }
        async let one = commandsInFivePolls(runs: 1)
        async let hundred = commandsInFivePolls(runs: 100)
        let (ofOne, ofHundred) = try await (one, hundred)
        print("idle commands per second: \(ofOne.aSecond) for 1 run, \(ofHundred.aSecond) for 100 runs")
        #expect(ofOne.aPoll <= 4 && ofHundred.aPoll <= 4)
        // What comes every few seconds falls into the window once more or less.
        #expect(abs(ofOne.aPoll - ofHundred.aPoll) <= 0.9)
    }
}

/// A connection that counts how often it is written to.
private final class CountedWrites: RedisCommands {
    private let connection: RedisConnection
    private let writes = Mutex(0)
    var count: Int { writes.withLock { $0 } }

    init(connection: RedisConnection) {
        self.connection = connection
    }

    func send(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue] {
        writes.withLock { $0 += 1 }
        return try await connection.send(commands, timeout: timeout)
    }
}
