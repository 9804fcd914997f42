import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

extension Scene {
    /// Submits a job that is tried again so often.
    fileprivate func submit(_ job: String, retries: Int, groups: [String] = []) async throws -> RunID {
        var submission = try submission(job, groups: groups)
        submission.retries = retries
        submission.environment = ["SECRET": Array("x".utf8)]
        submission.timeout = .seconds(60)
        #expect(try await client.submit(submission) == .queued(submission.run))
        return submission.run
    }

    fileprivate func record(_ run: RunID) async throws -> RunRecord { try #require(try await client.record(of: run)) }

    /// Makes everything due that waits to be tried again, and has it offered.
    fileprivate func promote() async throws {
        for run in try await command("ZRANGE", "interrupt/delayed", "0", "-1").array?.compactMap(\.text) ?? [] {
            try await command("ZADD", "interrupt/delayed", "0", run)
        }
        _ = try await client.evaluate(RedisScripts.survey, [])
    }
}

extension ScriptWorker {
    /// Ends a run as the transport does, with the id of a next run.
    fileprivate func fail(_ run: RunID, _ state: String = "failed", next: RunID = .random()) async throws -> RunID {
        let empty = [RedisArgument](repeating: "", count: 7)
        #expect(try await end(run, state, exitCode: "3", more: empty + [.init(next.rawValue), "500"]) == "OK")
        return next
    }
}

@Suite(.serialized, .timeLimit(.minutes(2))) struct `Trying again` {
    @Test func `is a new run of the job with the same work, after a while, until it was tried as often as was asked`()
        async throws
    {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let first = try await scene.submit("j", retries: 2, groups: ["g"])
            var run = first
            for attempt in 1...2 {
                try await worker.startAll()
                #expect(try await scene.record(run).attempt == attempt)
                #expect(
                    try await worker.script(RedisScripts.spawned, [.init(run.rawValue), "i1", "7", "8", "b"]).text
                        == "OK"
                )
                let next = try await worker.fail(run)
                let (old, new) = (try await scene.record(run), try await scene.record(next))
                #expect(old.state == .failed && old.nextRun == next)
                #expect(new.state == .queued && new.previousRun == run && new.retries == 2)
                #expect(new.command == old.command && new.timeout == old.timeout && new.groups == ["g"])
                #expect(new.gracePeriod == nil, "that was the worker's")
                #expect(new.dueAt != nil)
                #expect(try await scene.client.newestRun(of: try Name("j"))?.run == next)
                #expect(try await worker.offers().isEmpty, "it is not due")
                run = next
                try await scene.promote()
            }
            let offer = try #require(try await worker.offers().first)
            let started = try await worker.start(offer).array
            #expect(started?[2].array?.compactMap(\.text) == ["SECRET", "x"], "its environment came along")
            let last = try await worker.fail(run)
            #expect(try await scene.client.record(of: last) == nil)
            #expect(try await scene.record(run).nextRun == nil)
            #expect(try await scene.exists("interrupt/env/\(run)") == false)
            #expect(try await scene.command("ZCARD", "interrupt/live").integer == 0)
            #expect(try await scene.command("EXISTS", "interrupt/delayed", "interrupt/group/g").integer == 0)
            #expect(try await scene.events(of: run) == ["retried", "started", "ended"])
        }
    }

    @Test func `waits from half a second to a second at first, and twice as long each time`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            var run = try await scene.submit("j", retries: 9)
            for attempt in 1...8 {
                try await worker.startAll()
                let next = try await worker.fail(run)
                let record = try await scene.record(next)
                let wait = try #require(record.dueAt) - (try #require(record.submittedAt))
                #expect(wait == .milliseconds(min(1_000 << (attempt - 1), 60_000) * 3 / 4))
                run = next
                try await scene.promote()
            }
        }
    }

    @Test func `follows neither success nor an interrupt nor a drain nor what could not be started`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for (job, stage) in [
                ("done", nil), ("cancelled", InterruptStage.terminate), ("drained", .drain), ("odd", nil),
            ] {
                let run = try await scene.submit(job, retries: 5)
                try await worker.startAll()
                if let stage { _ = try await scene.interrupt(run, InterruptSignal(stage: stage)) }
                let next = RunID.random()
                let more = [RedisArgument](repeating: "", count: 7) + [.init(next.rawValue), "0"]
                let state = job == "done" ? "completed" : "failed"
                #expect(
                    try await worker.end(run, state, error: job == "odd" ? "no such program" : "", more: more) == "OK"
                )
                #expect(try await scene.client.record(of: next) == nil, "\(job)")
            }
        }
    }

    @Test func `is over with an interrupt while it waits, and keeps a flag for itself`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let first = try await scene.submit("j", retries: 1)
            try await worker.startAll()
            try await scene.command("SET", "interrupt:j", "1")
            let next = try await worker.fail(first)
            #expect(try await scene.exists("interrupt:j"), "who set it means the job")
            // Whoever has seen the first run and means to stop it means what goes on of it.
            let receipt = try await scene.interrupt(first, InterruptSignal(stage: .terminate))
            #expect(receipt.outcome == .stopped && receipt.run == next)
            #expect(try await scene.record(next).state == .interrupted)
            try await scene.promote()
            #expect(try await worker.offers().isEmpty)
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(2))) struct `Silence` {
    private func sign(_ scene: Scene, _ worker: ScriptWorker) async throws -> [RedisArgument] {
        let heartbeat = try await scene.command("HGET", "interrupt/worker/\(worker.name)", "heartbeat").text ?? ""
        return [.init(worker.name.description), .init(worker.instance), .init(heartbeat)]
    }

    private func mark(_ scene: Scene, _ sign: [RedisArgument]) async throws -> [RESPValue] {
        try await scene.client.evaluate(RedisScripts.markSilent, sign + ["w2"]).array ?? []
    }

    private func takeOver(_ scene: Scene, _ sign: [RedisArgument], _ run: RunID, next: RunID) async throws -> String? {
        let more: [RedisArgument] = [.init(run.rawValue), "w2", "3600", .init(next.rawValue), "0"]
        return try await scene.client.evaluate(RedisScripts.takeOver, sign + more).text
    }

    @Test func `is put on record, changes no state, and lets leased runs be taken over, no others`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let plain = try await scene.submit("plain")
            let leased = try await scene.submit("leased", retries: 1)
            try await worker.startAll()
            let sign = try await sign(scene, worker)
            let marked = try await mark(scene, sign)
            #expect(marked.first?.text == "silent")
            #expect(marked.last?.array?.compactMap(\.text) == [leased.rawValue])
            for run in [plain, leased] {
                let record = try await scene.record(run)
                #expect(record.state == .running && record.silentSince != nil)
            }
            let next = RunID.random()
            #expect(try await takeOver(scene, sign, plain, next: .random()) == "ended")
            #expect(try await takeOver(scene, sign, leased, next: next) == "OK")
            #expect(try await takeOver(scene, sign, leased, next: .random()) == "ended", "once")
            let record = try await scene.record(leased)
            #expect(record.state == .lost && record.nextRun == next)
            #expect(record.error == "worker 'w1' was silent for longer than its lease; taken over by 'w2'")
            #expect(try await scene.record(next).state == .queued)
            #expect(try await scene.record(plain).state == .running)
            // What the silent worker says of it later changes nothing.
            #expect(try await worker.end(leased) == "OK")
            #expect(try await scene.record(leased).state == .lost)
        }
    }

    @Test func `is over with a sign of life, which is told what is still its own`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let plain = try await scene.submit("plain")
            let leased = try await scene.submit("leased", retries: 0)
            try await worker.startAll()
            let old = try await sign(scene, worker)
            _ = try await mark(scene, old)
            let reply = try await worker.script(RedisScripts.heartbeat, ["w1", "i1", "0", "0"])
            #expect(reply.array?.first?.text == "holds")
            #expect(Set(reply.array?.dropFirst().compactMap(\.text) ?? []) == [plain.rawValue, leased.rawValue])
            #expect(try await scene.record(plain).silentSince == nil)
            #expect(try await worker.heartbeat() == "OK", "once")
            #expect(try await mark(scene, old).first?.text == "heard")
            #expect(try await takeOver(scene, old, plain, next: .random()) == "heard")
        }
    }

    @Test func `takes over nothing that somebody had interrupted for another try`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.submit("j", retries: 3)
            try await worker.startAll()
            _ = try await scene.interrupt(run, InterruptSignal(stage: .terminate))
            let (sign, next) = (try await sign(scene, worker), RunID.random())
            _ = try await mark(scene, sign)
            #expect(try await takeOver(scene, sign, run, next: next) == "OK")
            #expect(try await scene.record(run).state == .lost)
            #expect(try await scene.client.record(of: next) == nil)
        }
    }

    @Test func `leaves a name free when nothing is held under it any more, and not before`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            _ = try await mark(scene, try await sign(scene, worker))
            let enter: [RedisArgument] = ["w1", "i9", ""]
            #expect(try await scene.client.evaluate(RedisScripts.enter, enter).array?.first?.text == "in_use")
            #expect(try await worker.end(run) == "OK")
            #expect(try await scene.client.evaluate(RedisScripts.enter, enter).array?.first?.text == "entered")
        }
    }

    @Test func `is what a run may be given up for, by somebody who says so`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            try await scene.command("HSET", "interrupt/worker/w1", "lease_ms", "30000")
            let run = try await scene.running("j", on: worker)
            guard case .heard(let job, let name, let since) = try await scene.client.forget(run, by: "ops") else {
                Issue.record("it was given up though its worker lives")
                return
            }
            #expect(job == "j" && name == "w1" && since < .seconds(30))
            try await scene.command("HSET", "interrupt/worker/w1", "lease_ms", "0")
            try await scene.until {
                if case .forgotten = try await scene.client.forget(run, by: "ops") { true } else { false }
            }
            let record = try await scene.record(run)
            #expect(record.state == .lost && record.error == "given up by ops: nobody has seen it end")
            let reply = try await worker.script(RedisScripts.heartbeat, ["w1", "i1", "1", "0"])
            #expect(reply.array?.compactMap(\.text) == ["holds"], "it has nothing left of this")
            #expect(try await scene.client.forget(run, by: nil) == .ended(job: "j", state: .lost))
            #expect(try await scene.client.forget(.random(), by: nil) == .missing)
            let queued = try await scene.submit("q")
            #expect(try await scene.client.forget(queued, by: nil) == .queued(job: "q"))
        }
    }
}
