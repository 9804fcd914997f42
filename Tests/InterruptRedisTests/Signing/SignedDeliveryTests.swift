import InterruptCore
import InterruptJSON
import InterruptTesting
import Testing

@testable import InterruptRedis

private let key = SigningKey(Array("correct horse battery staple".utf8))!

/// A connection on which something else happens right after a job's run was asked for.
private struct Overtaken: RedisCommands {
    let connection: RedisConnection
    let meanwhile: @Sendable () async -> Void

    func send(_ commands: [RedisCommand], timeout: Duration?) async throws(RedisError) -> [RESPValue] {
        let replies = try await connection.send(commands, timeout: timeout)
        if commands.first?.arguments.first == Array("HGET".utf8) { await meanwhile() }
        return replies
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A worker with a key` {
    private let signal = InterruptSignal(message: "stop", triggeredBy: "ops")

    /// The signed form of the record, which others may have as well.
    private func signed(_ signal: InterruptSignal, for run: RunID) -> String {
        signal.signed(for: run, namespace: "interrupt", with: key)
    }

    @Test(arguments: [DeliveryWay.push, .tracked, .poll, .reconnect])
    func `hears of a signed request by each way alone, and of no other by any`(way: DeliveryWay) async throws {
        try await withWatching(
            ways: [way],
            pollInterval: way == .poll ? .milliseconds(30) : .seconds(3_600),
            signingKey: key
        ) { watching async throws in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j")
            try await watching.scene.until { try await watching.scene.polls() > (way == .poll ? 6 : 1) }
            _ = try await watching.scene.interrupt(run, InterruptSignal(stage: .kill, triggeredBy: "mallory"))
            if way == .reconnect { try await watching.kill("interruptd:w1") }
            try await watching.scene.until { watching.transport.checker.refusedCount == 1 }
            // Behind the other, which is harder: it counts all the same.
            let receipt = try await watching.scene.signing(with: key).interrupt(run, signal)
            #expect(receipt.outcome == .already && receipt.state == .running)
            if way == .reconnect { try await watching.kill("interruptd:w1") }
            let delivery = try #require(await deliveries.first())
            #expect(delivery.way == way && delivery.signal.id == signal.id && delivery.signal.stage == .terminate)
            #expect(delivery.signal.message == "stop" && delivery.signal.triggeredBy == "ops")
            try await watching.transport.acknowledge(delivery.signal, way: way, for: run)
            #expect(deliveries.all.allSatisfy { $0.signal.id == signal.id })
            #expect(watching.transport.checker.refusedCount == 1)
            try await watching.scene.until { watching.lines.count("nobody with the key") >= 1 }
            #expect(watching.lines.count("nobody with the key") == 1, "\(watching.lines.all)")
        }
    }

    @Test func `takes no notice of flags, bare messages and forged records, counts them and says each once`()
        async throws
    {
        try await withWatching(pollInterval: .milliseconds(30), signingKey: key) { watching async throws in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.isReady(tracking: 6)
            let scene = watching.scene
            for (index, target) in ["j", "group:g", "queue:default", "worker:w1", "all"].enumerated() {
                try await scene.command(
                    "SET",
                    "interrupt:\(target)",
                    index == 1 ? "{\"stage\":3,\"signed\":[\"x y\"]}" : "1"
                )
                try await scene.until { watching.transport.checker.refusedCount == index + 1 }
                #expect(try await scene.exists("interrupt:\(target)"))
            }
            for text in [
                #"{"target":"j"}"#, #"{"target":"all","stage":3}"#, #"{"run":"\#(run)","request_id":"q","stage":3}"#,
            ] { try await scene.command("PUBLISH", "interrupt:signals", text) }
            try await scene.until { watching.transport.checker.refusedCount == 8 }
            try await scene.command(
                "SET",
                "interrupt/request/\(run)",
                #"{"v":1,"run":"\#(run)","request_id":"f","stage":3,"reason":"custom","triggered_at_ms":1,"seen":["f"]}"#
            )
            try await scene.until { watching.transport.checker.refusedCount == 9 }
            // It is counted before it is said.
            try await scene.until { watching.lines.count("nobody with the key") >= 7 }
            #expect(watching.lines.count("nobody with the key") == 7, "\(watching.lines.all)")
            #expect(deliveries.all.isEmpty)
            _ = try await watching.transport.heartbeat(running: 1, live: [])
            #expect(try await scene.client.worker("w1")?.refusedRequests == 9)
            #expect(try await scene.signing(with: key).interrupt(run, signal).outcome == .already)
            #expect(try #require(await deliveries.first()).signal.id == signal.id)
        }
    }

    @Test func `applies what is signed in a flag also when the server does not take it into the record`() async throws {
        try await withWatching(pollInterval: .milliseconds(30), signingKey: key) { watching async throws in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            try await watching.isReady(tracking: 6)
            try await watching.scene.command("ACL", "SETUSER", "default", "-eval", "-evalsha")
            let text = signed(signal, for: run)
            try await watching.scene.command("SET", "interrupt:j", #"{"signed":["\#(text)"]}"#)
            #expect(try #require(await deliveries.first()).signal.id == signal.id)
            try await watching.scene.command("ACL", "SETUSER", "default", "+eval", "+evalsha")
        }
    }

    @Test func `finds what is signed also in a request that has ended a queued run`() async throws {
        try await withScene { scene in
            let run = try await scene.submit("j")
            let receipt = try await scene.signing(with: key).interrupt(run, signal)
            #expect(receipt.outcome == .stopped)
            let text = try await scene.command("GET", "interrupt/request/\(run)").text ?? ""
            var trusted = TrustedRequests(key: key, namespace: "interrupt")
            let found = trusted.interrupts(in: try SignalMessage(json: Array(text.utf8)), source: .remote, for: run)
            #expect(found.signals.map(\.id) == [signal.id] && found.refusal == nil)
        }
    }

    @Test func `takes a signed text from wherever it stands, for its run alone`() async throws {
        try await withWatching(pollInterval: .milliseconds(30), signingKey: key) { watching async throws in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j", groups: ["g"])
            let (_, others) = try await watching.run("k", groups: ["g"])
            try await watching.isReady(tracking: 8)
            let text = signed(signal, for: run)
            try await watching.scene.command("SET", "interrupt:j", #"{"signed":["\#(text)"]}"#)
            let delivery = try #require(await deliveries.first())
            #expect(delivery.signal.id == signal.id && delivery.signal.source == .flag)
            try await watching.scene.until { try await !watching.scene.exists("interrupt:j") }
            #expect(try await watching.scene.client.request(for: run)?.id == signal.id)
            // A captured one, to all, and on record for another run.
            try await watching.scene.command("PUBLISH", "interrupt:signals", #"{"target":"all","signed":["\#(text)"]}"#)
            try await watching.scene.command("SET", "interrupt:k", #"{"signed":["\#(text)"]}"#)
            try await watching.scene.command("SET", "interrupt:queue:default", "1")
            // The same text counts once in all its ways.
            try await watching.scene.until { watching.transport.checker.refusedCount == 2 }
            #expect(watching.lines.count("another run or another purpose") == 1)
            #expect(others.all.isEmpty)
            #expect(deliveries.all.allSatisfy { $0.signal.id == signal.id })
        }
    }

    @Test func `finds only signed flags at the start of a run`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            let submission = try watching.scene.submission("j", groups: ["g"])
            _ = try await watching.scene.client.submit(submission)
            let flag = #"{"run":"\#(submission.run)","signed":["\#(signed(signal, for: submission.run))"]}"#
            try await watching.scene.command("SET", "interrupt:group:g", "1")
            try await watching.scene.command("SET", "interrupt:j", flag)
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            let started = try await watching.transport.start(offer, gracePeriod: .seconds(10))
            guard case .started(_, let pending) = started else { throw Failure(description: "not started") }
            #expect(pending.map(\.id) == [signal.id])
            #expect(watching.transport.checker.refusedCount == 1)
        }
    }

    @Test func `does not count what it has put on record itself`() async throws {
        try await withWatching(pollInterval: .milliseconds(20), signingKey: key) { watching async throws in
            try await watching.isReady()
            let (run, deliveries) = try await watching.run("j")
            try await watching.scene.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
            let timeout = InterruptSignal(reason: .timeout, source: .timeout)
            try await watching.transport.acknowledge(timeout, way: .local, for: run)
            let polls = try await watching.scene.polls()
            try await watching.scene.until { try await watching.scene.polls() > polls + 3 }
            #expect(watching.transport.checker.refusedCount == 0 && deliveries.all.isEmpty)
        }
    }

    @Test func `is told a job's newest run, whichever that is when the request arrives`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            try await watching.isReady()
            let client = watching.scene.signing(with: key).client
            let (run, deliveries) = try await watching.run("j")
            let receipts = try await client.interrupt([.job(try Name("j")), .job(try Name("nobody"))], signal)
            #expect(receipts.map(\.outcome) == [.accepted, .missing])
            #expect(try #require(await deliveries.first()).signal.id == signal.id)
            // A wide target is its runs, each with a signature of its own.
            let (_, others) = try await watching.run("k", groups: ["g"])
            let wide = InterruptSignal(target: try InterruptTarget("group:g"))
            #expect(try await client.interrupt(try InterruptTarget("group:g"), wide).map(\.outcome) == [.accepted])
            #expect(try #require(await others.first()).signal.target == wide.target)
            _ = run
            #expect(watching.transport.checker.refusedCount == 0)
        }
    }

    @Test func `is told a job's newest run, also when that began while the request was signed`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            try await watching.isReady()
            let (old, _) = try await watching.run("j")
            let (runs, began) = AsyncStream.makeStream(of: Deliveries.self)
            let overtaken = Overtaken(connection: watching.scene.connection) {
                do {
                    try await watching.transport.end(old, as: RunEnding(state: .completed))
                    began.yield(try await watching.run("j").1)
                } catch {
                    Issue.record(error)
                }
            }
            let client = InterruptClient(commands: overtaken, keys: watching.scene.keys, signingKey: key)
            let receipt = try #require(try await client.interrupt([.job(try Name("j"))], signal).first)
            #expect(receipt.outcome == .accepted && receipt.run != old)
            var iterator = runs.makeAsyncIterator()
            let deliveries = try #require(await iterator.next())
            #expect(try #require(await deliveries.first()).signal.id == signal.id)
        }
    }

    @Test func `pauses what it is asked to by somebody with the key, once for each time of asking`() async throws {
        try await withWatching(pollInterval: .milliseconds(30), signingKey: key) { watching async throws in
            try await watching.isReady()
            let scene = watching.scene
            let (order, _) = try await watching.start("j")
            let pausings = Pausings()
            watching.transport.watch(order, pausing: pausings.add) { _, _ in }
            let pauseKey = "interrupt/pause/\(order.run)"
            #expect(try await scene.ask(.pause, order.run) == .recorded)
            try await scene.until { watching.transport.checker.refusedCount == 1 }
            // It takes the place of the other.
            #expect(try await scene.signing(with: key).ask(.pause, order.run) == .recorded)
            try await scene.until { pausings.all.last == true }
            #expect(try await scene.signing(with: key).ask(.pause, order.run) == .already)
            let captured = try #require(try await scene.command("GET", pauseKey).text)
            #expect(try await scene.signing(with: key).ask(.resume, order.run) == .withdrawn)
            try await scene.until { pausings.all.last == false }
            try await scene.command("SET", pauseKey, captured)
            try await scene.until { watching.transport.checker.refusedCount == 2 }
            #expect(pausings.all.count { $0 } == 1)
            try await scene.until { watching.lines.count("taken back before") == 1 }
        }
    }
}
