import FoundationEssentials
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

/// The files that users copy, as they stand.
enum Documents {
    static let directory = String(#filePath.split(separator: "/Tests/")[0]) + "/Docs"

    static func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `An ACL role` {
    private static let roles = ["requester", "worker", "controller", "canceller", "viewer"]

    /// A server with all roles from their files, and a connection of one of them.
    private func withRole<R>(_ role: String, _ body: (Scene, Scene) async throws -> R) async throws -> R {
        try await withTemporaryDirectory { directory in
            let all = try Self.roles.map { try Documents.text("acl/\($0).acl") }.joined()
            try all.write(toFile: "\(directory)/users.acl", atomically: false, encoding: .utf8)
            return try await withScene(arguments: ["--aclfile", "\(directory)/users.acl"]) { admin in
                let mine = try await Scene(redis: admin.redis, endpoint: endpoint(role, admin.redis))
                defer { mine.connection.close() }
                return try await body(admin, mine)
            }
        }
    }

    private func endpoint(_ role: String, _ redis: TestRedis) -> RedisEndpoint {
        var endpoint = redis.endpoint
        (endpoint.username, endpoint.password) = (role, "change-me")
        return endpoint
    }

    private func isRefused(_ scene: Scene, _ words: [String]) async throws -> Bool {
        let reply = try await scene.connection.send([RedisCommand(arguments: words.map { Array($0.utf8) })])
        return reply.first?.errorText?.hasPrefix("NOPERM") == true
    }

    @Test(arguments: roles)
    func `has no right over the server, or outside its namespace`(role: String) async throws {
        try await withRole(role) { (_: Scene, mine: Scene) async throws in
            for words in [
                ["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["ACL", "LIST"], ["SHUTDOWN"],
                ["SET", "other", "1"],
                ["GET", "other:key"], ["CLIENT", "KILL", "ID", "1"], ["SCRIPT", "FLUSH"],
                ["SUBSCRIBE", "other"], ["REPLICAOF", "NO", "ONE"], ["MONITOR"],
            ] {
                #expect(try await isRefused(mine, words), "\(words)")
            }
        }
    }

    @Test(arguments: ["worker", "controller", "canceller", "viewer"])
    func `finds the master and the owner of the keys`(role: String) async throws {
        try await withRole(role) { (_: Scene, mine: Scene) async throws in
            for words in [
                ["ROLE"], ["EXISTS", "interrupt/meta", "interrupt/history"], ["CLUSTER", "SLOTS"], ["ASKING"],
            ] {
                #expect(try await !isRefused(mine, words), "\(words)")
            }
        }
    }

    @Test func `requester sets flags and nothing else`() async throws {
        try await withRole("requester") { (_: Scene, mine: Scene) async throws in
            for target in ["j", "group:g", "queue:q", "worker:w", "all"] {
                #expect(try await mine.command("SET", "interrupt:\(target)", "1", "EX", "60") == .status("OK"))
            }
            for words in [
                ["SET", "interrupt/request/r", "{}"], ["GET", "interrupt:j"], ["DEL", "interrupt:j"],
                ["HSET", "interrupt/run/r", "state", "lost"], ["PUBLISH", "interrupt:signals", "{}"],
                ["EVAL", "return 1", "0"],
            ] {
                #expect(try await isRefused(mine, words), "\(words)")
            }
        }
    }

    @Test func `controller submits, interrupts, drains, opens and reads`() async throws {
        try await withRole("controller") { admin, mine in
            let worker = try await ScriptWorker(admin)
            var submission = try mine.submission("j", groups: ["g"])
            submission.environment = ["A": [1]]
            #expect(try await mine.client.submit(submission) == .queued(submission.run))
            try await worker.startAll()
            let queued = try await mine.submit("k", groups: ["g"])
            let heard = try await Heard(admin, ["interrupt:signals:w1"])
            #expect(try await mine.interrupt(submission.run, InterruptSignal()).outcome == .accepted)
            #expect(try await heard.all().count == 1)
            #expect(try await admin.exists("interrupt:j"))
            #expect(try await mine.interrupt(queued, InterruptSignal()).outcome == .stopped)
            for target in ["group:g", "queue:default", "worker:w1", "all"] {
                _ = try await mine.client.interrupt(try InterruptTarget(target), InterruptSignal(stage: .drain))
                #expect(try await mine.client.openGate(try InterruptTarget(target), by: "me"))
            }
            for action in [PauseRequest.Action.pause, .resume] {
                _ = try await mine.ask(action, submission.run)
                #expect(try await mine.client.ask(PauseRequest(action), of: .all).hasGateChanged)
            }
            #expect(try await mine.client.list(includingEnded: 10).count == 2)
            #expect(try await mine.client.history(limit: 100).count > 3)
            #expect(try await mine.client.workers().count == 1)
            #expect(try await mine.client.request(for: submission.run) != nil)
            _ = try await mine.client.output(of: queued, after: "0", waiting: .milliseconds(10))
            #expect(try await admin.command("ACL", "LOG").array?.isEmpty == true)
            for words in [
                ["XREADGROUP", "GROUP", "workers", "w1", "STREAMS", "interrupt/queue/default", ">"],
                ["XACK", "interrupt/queue/default", "workers", "1-1"],
            ] {
                #expect(try await isRefused(mine, words), "\(words)")
            }
        }
    }

    @Test func `canceller interrupts what runs, and only marks what is queued`() async throws {
        try await withRole("canceller") { admin, mine in
            let worker = try await ScriptWorker(admin)
            let running = try await admin.running("j", on: worker)
            let queued = try await admin.submit("k")
            let heard = try await Heard(admin, ["interrupt:signals:w1"])
            let signal = InterruptSignal(reason: .priorityOverride, triggeredBy: "night shift")
            #expect(try await mine.interrupt(running, signal).outcome == .accepted)
            #expect(try await heard.all().count == 1)
            #expect(try await admin.client.request(for: running)?.triggeredBy == "night shift")
            let receipt = try await mine.interrupt(queued, signal)
            #expect(receipt.outcome == .accepted && receipt.state == .queued)
            #expect(try await admin.state(queued) == .queued)
            let offer = try #require(try await worker.offers().first)
            #expect(try await worker.start(offer).array?.first?.text == "gone")
            let record = try #require(try await admin.client.record(of: queued))
            #expect(record.state == .interrupted && record.triggeredBy == "night shift" && record.way == .queued)
            await #expect(throws: RedisError.self) { try await mine.client.submit(try mine.submission("x")) }
            await #expect(throws: RedisError.self) { try await mine.ask(.pause, running) }
            for words in [
                ["SET", "interrupt:j", "1"], ["SET", "interrupt/run/r", "1"],
                ["HSET", "interrupt/run/r", "state", "lost"], ["HGETALL", "interrupt/env/r"],
            ] {
                #expect(try await isRefused(mine, words), "\(words)")
            }
        }
    }

    @Test func `viewer reads and listens, and cannot change or run anything`() async throws {
        try await withRole("viewer") { admin, mine in
            let worker = try await ScriptWorker(admin)
            let run = try await admin.running("j", on: worker)
            #expect(try await mine.client.list(includingEnded: 10).map(\.run) == [run])
            #expect(try await mine.client.history(limit: 10).count == 3)
            #expect(try await mine.client.workers().map(\.name) == ["w1"])
            let record = try #require(try await mine.client.record(of: run))
            #expect(try await mine.client.pausedTarget(holding: record) == nil)
            _ = try await mine.client.output(of: run, after: "0", waiting: .milliseconds(10))
            for words in [
                ["SET", "interrupt:j", "1"], ["EVAL", "return 1", "0"], ["XADD", "interrupt/history", "*", "a", "b"],
                ["PUBLISH", "interrupt:signals", "{}"], ["GET", "interrupt:j"], ["SUBSCRIBE", "interrupt:signals"],
                ["HGETALL", "interrupt/env/\(run)"],
            ] {
                #expect(try await isRefused(mine, words), "\(words)")
            }
            try await mine.connection.subscribe(["interrupt:events"]) { _ in }
        }
    }

    @Test func `worker does all that a transport does, without a single refusal`() async throws {
        try await withRole("worker") { admin, _ in
            let lines = LogLines()
            let transport = RedisTransport(
                endpoint: endpoint("worker", admin.redis),
                keys: admin.keys,
                worker: try Name("w1"),
                instance: "i1",
                queues: [try Name("default"), try Name("other")],
                connection: .patient,
                logger: lines.logger
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await transport.run() }
                defer { group.cancelAll() }
                let watching = Watching(scene: admin, transport: transport, lines: lines)
                let process = ProcessIdentity(boot: "b", pid: 1, start: 1)
                let description = WorkerDescription(
                    name: try Name("w1"),
                    instance: "i1",
                    host: "h",
                    process: process,
                    slots: 1,
                    version: "1",
                    queues: [],
                    lease: .seconds(30)
                )
                _ = try await transport.enter(description, replacing: nil)
                try await watching.isReady()
                let (run, deliveries) = try await watching.run("j", groups: ["g"])
                _ = try await transport.heartbeat(running: 1, live: [])
                try await transport.spawned(run, process: process)
                _ = try await admin.ask(.pause, run)
                try await transport.record(isPaused: true, of: run)
                _ = try await admin.ask(.resume, run)
                try await transport.record(isPaused: false, of: run)
                try await transport.append([OutputChunk(stream: .output, offset: 0, bytes: [1])], of: run)
                try await watching.isReady(tracking: 6)
                try await admin.command("SET", "interrupt:group:g", "1")
                let delivery = try #require(await deliveries.first())
                try await transport.acknowledge(delivery.signal, way: delivery.way, for: run)
                try await transport.end(run, as: RunEnding(state: .interrupted, termSignal: 15))
                // A run that is held back by a paused group.
                _ = try await admin.client.ask(PauseRequest(.pause), of: try InterruptTarget("group:h"))
                let held = try await admin.submit("h", groups: ["h"])
                let heldOffer = try #require(try await transport.offers(limit: 1).first)
                #expect(try await transport.start(heldOffer, gracePeriod: .seconds(10)) == .gone)
                _ = try await admin.interrupt(held, InterruptSignal())
                // A run that is found queued under a request, and one that goes back.
                let marked = try await admin.submit("k")
                let offers = try await transport.offers(limit: 1)
                try await transport.giveBack(offers)
                let again = try #require(try await transport.offers(limit: 1).first)
                try await admin.command(
                    "SET",
                    "interrupt/request/\(marked)",
                    "{\"stage\":2,\"request_id\":\"x\",\"reason\":\"custom\",\"triggered_at_ms\":1}"
                )
                #expect(try await transport.start(again, gracePeriod: .seconds(10)) == .gone)
                try await transport.lose(run, why: "")
                await transport.leave()
                #expect(try await admin.command("ACL", "LOG").array?.isEmpty == true)
                #expect(lines.all.isEmpty, "\(lines.all)")
            }
        }
    }
}
