import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(2))) struct `Starting` {
    @Test func `is the only claim: of two workers that race, one gets each run`() async throws {
        try await withScene { scene in
            let first = try await ScriptWorker(scene, "w1", instance: "i1")
            let second = try await ScriptWorker(try await scene.another(), "w2", instance: "i2")
            for index in 0..<200 { try await scene.submit("j\(index)") }
            // Both know all offers, as after a message that was claimed over.
            let offers = try await first.offers()
            #expect(offers.count == 200)
            func claim(_ worker: ScriptWorker) async throws -> [RunID] {
                var started: [RunID] = []
                for offer in offers where try await worker.start(offer).array?.first?.text == "started" {
                    started.append(offer.run)
                }
                return started
            }
            async let one = claim(first)
            async let two = claim(second)
            let (ofFirst, ofSecond) = try await (one, two)
            print("claims in a race of two workers for 200 runs: \(ofFirst.count) and \(ofSecond.count)")
            #expect(ofFirst.count + ofSecond.count == 200)
            #expect(Set(ofFirst + ofSecond) == Set(offers.map(\.run)))
            for (worker, runs) in [("w1", ofFirst), ("w2", ofSecond)] {
                for run in runs { #expect(try await scene.client.record(of: run)?.worker == worker) }
            }
            #expect(try await scene.command("XLEN", "interrupt/queue/default").integer == 0)
            let pending = try await scene.command("XPENDING", "interrupt/queue/default", "workers")
            #expect(pending.array?.first?.integer == 0)
            #expect(try await scene.client.records(of: offers.map(\.run)).allSatisfy { $0.attempt == 1 })
        }
    }

    @Test func `may be asked again by the same instance until a process is on record`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            var submission = try scene.submission("j")
            submission.environment = ["SECRET": Array("x".utf8)]
            _ = try await scene.client.submit(submission)
            let offer = try #require(try await worker.offers().first)
            let first = try await worker.start(offer)
            #expect(first.array?.count == 4)
            let again = try await worker.start(offer)
            try #require(again.array?.count == 4)
            #expect(again.array?[2] == first.array?[2], "the same environment")
            #expect(try await scene.client.record(of: offer.run)?.attempt == 1)
            #expect(try await scene.command("EXISTS", "interrupt/env/\(offer.run)").integer == 1)
            try await scene.command("HSET", "interrupt/run/\(offer.run)", "pid", "7")
            #expect(try await worker.start(offer).array?.first?.text == "gone")
            #expect(try await scene.events(of: offer.run) == ["submitted", "started"])
        }
    }

    @Test func `puts the worker's grace period on record for a run that names none`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let plain = try await scene.submit("plain")
            var own = try scene.submission("own")
            own.gracePeriod = .seconds(2)
            _ = try await scene.client.submit(own)
            for offer in try await worker.offers() { _ = try await worker.start(offer, gracePeriod: .seconds(90)) }
            #expect(try await scene.client.record(of: plain)?.gracePeriod == .seconds(90))
            #expect(try await scene.client.record(of: own.run)?.gracePeriod == .seconds(2))
        }
    }

    @Test func `does not begin under a gate, which is then the run's interrupt`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.submit("j", groups: ["g"])
            let offer = try #require(try await worker.offers().first)
            let signal = InterruptSignal(stage: .drain, reason: .priorityOverride, triggeredBy: "ops")
            let closing = signal.arguments + ["group:g", "open"]
            _ = try await scene.client.evaluate(RedisScripts.closeGate, closing)
            #expect(try await worker.start(offer).array?.first?.text == "gone")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.state == .interrupted && record.reason == .priorityOverride && record.triggeredBy == "ops")
            #expect(record.requestID == signal.id.rawValue && record.way == .queued && record.startedAt == nil)
            #expect(try await scene.command("XLEN", "interrupt/queue/default").integer == 0)
        }
    }

    @Test func `under a gate on the worker itself goes back to the queue, where another one may have it`() async throws
    {
        try await withScene { scene in
            let drained = try await ScriptWorker(scene)
            let other = try await ScriptWorker(scene, "w2")
            let run = try await scene.submit("j")
            let closing = InterruptSignal(stage: .drain).arguments + ["worker:w1", "open"]
            _ = try await scene.client.evaluate(RedisScripts.closeGate, closing)
            let offer = try #require(try await drained.offers().first)
            #expect(try await drained.start(offer).array?.first?.text == "held")
            #expect(try await scene.state(run) == .queued)
            #expect(try await other.startAll() == [run])
        }
    }

    @Test(arguments: [
        "interrupt:j", "interrupt:group:g", "interrupt:queue:default", "interrupt:worker:w1", "interrupt:all",
    ])
    func `passes over a flag of the wrong type and starts as a whole`(key: String) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.submit("j", groups: ["g"])
            try await scene.command("RPUSH", key, "x")
            #expect(try await worker.startAll() == [run])
            #expect(try await scene.state(run) == .running)
        }
    }

    @Test func `returns the flags that were set since the submission`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            try await scene.submit("j", groups: ["g"])
            for key in ["j", "group:g", "queue:default", "worker:w1", "all"] {
                try await scene.command("SET", "interrupt:\(key)", "1")
            }
            let reply = try await worker.start(try #require(try await worker.offers().first))
            let flags = reply.array?.last?.array?.compactMap(\.text) ?? []
            #expect(flags == ["j", "1", "group:g", "1", "queue:default", "1", "worker:w1", "1", "all", "1"])
        }
    }

    @Test func `what is given back is offered again once, at the end of its queue`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let first = try await scene.submit("a")
            let second = try await scene.submit("b")
            let offers = try await worker.offers()
            for _ in 0..<3 {
                let arguments: [RedisArgument] = ["default", .init(first.rawValue), .init(offers[0].entry)]
                _ = try await worker.script(RedisScripts.giveBack, arguments)
            }
            #expect(offers.map(\.run) == [first, second])
            #expect(try await worker.offers().map(\.run) == [first])
            #expect(try await scene.command("XLEN", "interrupt/queue/default").integer == 2)
        }
    }
}
