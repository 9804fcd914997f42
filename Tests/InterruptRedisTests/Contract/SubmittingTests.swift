import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `Submitting` {
    @Test func `queues a run once, however often it is asked`() async throws {
        try await withScene { scene in
            let submission = try scene.submission("j", groups: ["a", "b"])
            for _ in 0..<3 { #expect(try await scene.client.submit(submission) == .queued(submission.run)) }
            #expect(try await scene.command("XLEN", "interrupt/queue/default").integer == 1)
            let record = try #require(try await scene.client.record(of: submission.run))
            #expect(record.state == .queued && record.groups == ["a", "b"] && record.submittedAt != nil)
            #expect(try await scene.events(of: submission.run) == ["submitted"])
        }
    }

    @Test func `refuses the id of another job's run`() async throws {
        try await withScene { scene in
            var submission = try scene.submission("other")
            submission.run = try await scene.submit("j")
            let refused = submission
            await #expect(throws: RedisError.self) { try await scene.client.submit(refused) }
            #expect(try await !scene.exists("interrupt/job/other"))
        }
    }

    @Test func `answers with the live run, and starts a new one when it has ended`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let first = try await scene.running("j", on: worker)
            #expect(try await scene.client.submit(try scene.submission("j")) == .live(first))
            #expect(try await worker.end(first) == "OK")
            let second = try await scene.submit("j")
            #expect(try await scene.client.newestRun(of: try Name("j"))?.run == second)
            #expect(try await scene.command("HGET", "interrupt/run/\(second)", "previous_run").text == first.rawValue)
            #expect(try await scene.command("TTL", "interrupt/job/j").integer == -1)
        }
    }

    @Test func `an ended run again changes nothing, even when the job has a newer one`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let old = try scene.submission("j")
            _ = try await scene.client.submit(old)
            try await worker.startAll()
            _ = try await worker.end(old.run)
            let newer = try await scene.running("j", on: worker)
            _ = try await worker.end(newer)
            let before = try await scene.dump()
            #expect(try await scene.client.submit(old) == .queued(old.run))
            #expect(try await scene.dump() == before)
        }
    }

    @Test(arguments: ["group:g", "queue:default", "all"])
    func `is held back by a gate that says who closed it`(target: String) async throws {
        try await withScene { scene in
            let signal = InterruptSignal(stage: .drain, triggeredBy: "ops")
            _ = try await scene.client.interrupt(try InterruptTarget(target), signal)
            let before = try await scene.dump()
            let result = try await scene.client.submit(try scene.submission("j", groups: ["g"]))
            guard case .gated(target, .drain, "ops", let at) = result else { Issue.record("\(result)"); return }
            #expect(abs(at.milliseconds - (try await scene.client.serverTime()).milliseconds) < 60_000)
            #expect(try await scene.dump() == before)
        }
    }

    @Test func `drops a flag that was left behind, and says so`() async throws {
        try await withScene { scene in
            try await scene.command("SET", "interrupt:j", "1")
            let run = try await scene.submit("j")
            #expect(try await !scene.exists("interrupt:j"))
            #expect(try await scene.events(of: run) == ["flag_dropped", "submitted"])
        }
    }

    @Test func `one job 1,000 times at once queues one run, and the others are told which`() async throws {
        try await withScene { scene in
            let connections = 10
            let results = try await withThrowingTaskGroup(of: [SubmissionResult].self) { group in
                for _ in 0..<connections {
                    let client = InterruptClient(
                        commands: try await RedisConnection.connect(to: scene.redis.endpoint, configuration: .patient),
                        keys: scene.keys
                    )
                    group.addTask {
                        var results: [SubmissionResult] = []
                        for _ in 0..<100 { results.append(try await client.submit(try scene.submission("j"))) }
                        return results
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            let queued = results.compactMap { if case .queued(let run) = $0 { run } else { nil } }
            #expect(queued.count == 1)
            #expect(results.count { $0 == .live(queued[0]) } == 999)
        }
    }

    @Test func `one job 100 times with a flag left behind each time: none inherits`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            var inherited = 0
            for index in 0..<100 {
                try await scene.command("SET", "interrupt:j", index % 2 == 0 ? "1" : "{\"stage\":3}")
                let run = try await scene.submit("j")
                let reply = try await worker.start(try #require(try await worker.offers().first))
                if reply.array?.last?.array?.isEmpty != true { inherited += 1 }
                if try await scene.exists("interrupt/request/\(run)") { inherited += 1 }
                try await scene.command("SET", "interrupt:j", "1")
                _ = try await worker.end(run)
            }
            #expect(inherited == 0)
            #expect(try await !scene.exists("interrupt:j"))
        }
    }
}
