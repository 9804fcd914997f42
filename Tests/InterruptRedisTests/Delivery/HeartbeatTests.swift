import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A heartbeat` {
    @Test func `tells once more of a run that was given up when the answer was lost`() async throws {
        // Who stops the server waits for the end of a limit.
        try await withWatching(connection: RedisConnectionConfiguration()) { watching in
            let (given, kept) = (try await watching.run("j").0, try await watching.run("k").0)
            let scene = watching.scene
            _ = try await watching.transport.heartbeat(running: 2, live: [given, kept])  // the server has the script
            try await scene.command("HSET", "interrupt/worker/w1", "lease_ms", "0")
            try await scene.until {
                if case .forgotten = try await scene.client.forget(given, by: nil) { true } else { false }
            }
            // The server carries out what it has got, and nobody hears the answer.
            scene.redis.stop()
            await #expect(throws: TransportError.self) {
                _ = try await watching.transport.heartbeat(running: 2, live: [given, kept])
            }
            scene.redis.resume()
            try await scene.until {
                try await scene.command("HEXISTS", "interrupt/worker/w1", "silent_since_ms").integer == 0
            }
            #expect(try await watching.transport.heartbeat(running: 2, live: [given, kept]) == [given])
            // The connect was a reason of its own.
            try await eventually("it asks no more") {
                try await watching.transport.heartbeat(running: 2, live: [given, kept]) == []
            }
        }
    }

    @Test func `to a server that has forgotten everything costs no run`() async throws {
        try await withWatching(connection: RedisConnectionConfiguration()) { watching in
            let run = try await watching.run("j").0
            watching.scene.redis.stop()
            await #expect(throws: TransportError.self) {
                _ = try await watching.transport.heartbeat(running: 1, live: [run])
            }
            watching.scene.redis.resume()
            try await watching.scene.command("FLUSHALL")
            #expect(try await watching.transport.heartbeat(running: 1, live: [run]) == [])
            #expect(try await watching.transport.heartbeat(running: 1, live: [run]) == [])
        }
    }

    @Test func `enters again where the server knows the instance only that was replaced`() async throws {
        try await withWatching(prepare: { scene in
            _ = try await ScriptWorker(scene, instance: "i0")
            try await scene.command("HSET", "interrupt/worker/w1", "silent_since_ms", "1")
        }) { watching in
            let run = try await watching.run("j").0
            // As it was before.
            try await watching.scene.command("HSET", "interrupt/worker/w1", "instance", "i0")
            #expect(try await watching.transport.heartbeat(running: 1, live: [run]) == [])
            #expect(try await watching.scene.client.worker("w1")?.instance == "i1")
            try await watching.scene.command("HSET", "interrupt/worker/w1", "instance", "i0")
            // A claim does not wait for that: the worker may be told to stop meanwhile.
            try await watching.scene.submit("k")
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            await #expect(throws: TransportError.unavailable("the worker has entered again")) {
                try await watching.transport.start(offer, gracePeriod: .seconds(10))
            }
            #expect(try await watching.scene.client.worker("w1")?.instance == "i1")
            guard case .started = try await watching.transport.start(offer, gracePeriod: .seconds(10)) else {
                Issue.record("it was not claimed")
                return
            }
            try await watching.scene.command("HSET", "interrupt/worker/w1", "instance", "i2")
            await #expect(throws: TransportError.self) {
                _ = try await watching.transport.heartbeat(running: 1, live: [run])
            }
        }
    }

    @Test func `compares what a connect could not, and has nothing tried again that may be tried already`() async throws
    {
        try await withWatching { watching in
            let scene = watching.scene
            var submission = try scene.submission("j")
            submission.retries = 3
            _ = try await scene.client.submit(submission)
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            _ = try await watching.transport.start(offer, gracePeriod: .seconds(10))
            try await watching.transport.end(offer.run, as: RunEnding(state: .failed, exitCode: 7))
            let next = try #require(try await scene.client.record(of: offer.run)?.nextRun)
            // A server that has neither the end nor what came of it, and takes no writes for a while.
            let key = "interrupt/run/\(offer.run)"
            try await scene.command("HSET", key, "state", "running")
            try await scene.command("HDEL", key, "ended_at_ms", "exit_code", "next_run")
            try await scene.command("HSET", "interrupt/job/j", "run", offer.run.rawValue)
            try await scene.command("DEL", "interrupt/run/\(next)")
            try await scene.command("CONFIG", "SET", "min-replicas-to-write", "1")
            try await watching.kill("interruptd:w1")
            try await eventually("it is refused") { watching.lines.count("were not compared with Redis") >= 1 }
            try await scene.command("CONFIG", "SET", "min-replicas-to-write", "0")
            _ = try await watching.transport.heartbeat(running: 0, live: [])
            let record = try #require(try await scene.client.record(of: offer.run))
            #expect(record.state == .failed && record.exitCode == 7 && record.nextRun == nil)
            #expect(try await scene.client.record(of: next) == nil)
        }
    }

    @Test func `compares what a connect could not, before a run that has ended is started again`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            try await scene.submit("j")
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            _ = try await watching.transport.start(offer, gracePeriod: .seconds(10))
            try await watching.transport.end(offer.run, as: RunEnding(state: .failed, exitCode: 7))
            // A server that has neither its start nor its end, and takes no writes for a while.
            let key = "interrupt/run/\(offer.run)"
            try await scene.command("HDEL", key, "instance", "worker", "started_at_ms", "ended_at_ms", "exit_code")
            let entry = try await scene.command("XADD", "interrupt/queue/default", "*", "run", offer.run.rawValue).text
            try await scene.command("HSET", key, "state", "queued", "entry", try #require(entry))
            try await scene.command("CONFIG", "SET", "min-replicas-to-write", "1")
            try await watching.kill("interruptd:w1")
            try await eventually("it is refused") { watching.lines.count("were not compared with Redis") >= 1 }
            try await scene.command("CONFIG", "SET", "min-replicas-to-write", "0")
            let again = RunOffer(run: offer.run, queue: offer.queue, entry: try #require(entry))
            await #expect(throws: TransportError.self) {
                _ = try await watching.transport.start(again, gracePeriod: .seconds(10))
            }
            _ = try await watching.transport.heartbeat(running: 0, live: [])
            let result = try await watching.transport.start(again, gracePeriod: .seconds(10))
            if case .started = result { Issue.record("it runs twice") }
            #expect(try await scene.client.record(of: offer.run)?.exitCode == 7)
        }
    }

    @Test func `claims what a connect could not, before anything of it is taken for another's`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            let run = try await watching.run("j").0
            let key = "interrupt/run/\(run)"
            try await scene.command("HSET", key, "state", "queued")
            try await scene.command("HDEL", key, "instance", "worker", "started_at_ms")
            try await scene.command("CONFIG", "SET", "min-replicas-to-write", "1")
            try await watching.kill("interruptd:w1")
            try await eventually("it is refused") { watching.lines.count("were not compared with Redis") >= 1 }
            let ending = RunEnding(state: .failed, exitCode: 7)
            let signal = InterruptSignal(reason: .timeout, source: .timeout)
            let late = WaitingOutcome(run: run, instance: "i1", ending: ending)
            for _ in 0..<2 {
                await #expect(throws: TransportError.notCompared) {
                    try await watching.transport.acknowledge(signal, way: .local, for: run)
                }
                await #expect(throws: TransportError.notCompared) {
                    try await watching.transport.record(isPaused: true, of: run)
                }
                await #expect(throws: TransportError.self) { try await watching.transport.end(run, as: ending) }
                await #expect(throws: TransportError.self) { _ = try await watching.transport.record(late) }
            }
            try await scene.command("CONFIG", "SET", "min-replicas-to-write", "0")
            _ = try await watching.transport.heartbeat(running: 0, live: [])
            #expect(try await scene.client.record(of: run)?.state == .running)
            try await watching.transport.acknowledge(signal, way: .local, for: run)
            #expect(try await watching.transport.record(late))
            let record = try await scene.client.record(of: run)
            #expect(record?.exitCode == 7 && record?.reason == .timeout)
        }
    }

    @Test func `after a connect finds the runs whose pause or its end the server has not got`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            let run = try await watching.run("j").0
            for isPaused in [true, false] {
                #expect(try await scene.ask(isPaused ? .pause : .resume, run) == .recorded)
                try await watching.transport.record(isPaused: isPaused, of: run)
                let (before, after): (RunState, RunState) = isPaused ? (.running, .paused) : (.paused, .running)
                try await scene.command("HSET", "interrupt/run/\(run)", "state", "\(before)")
                try await watching.kill("interruptd:w1")
                try await eventually("it is \(after)") { try await scene.state(run) == after }
            }
        }
    }

    @Test func `after a connect finds the ends that the server has not got, and those of nobody else`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            let jobs = ["running", "queued", "others", "missing", "known"]
            var runs: [String: RunID] = [:]
            for job in jobs {
                let run = try await watching.run(job).0
                try await watching.transport.end(run, as: RunEnding(state: .failed, exitCode: 7))
                runs[job] = run
            }
            let known = try await scene.client.record(of: try #require(runs["known"]))
            for job in jobs.prefix(3) {
                let key = "interrupt/run/\(try #require(runs[job]))"
                try await scene.command("HSET", key, "state", job == "queued" ? job : "running")
                try await scene.command("HDEL", key, "ended_at_ms", "exit_code")
                if job == "queued" { try await scene.command("HDEL", key, "instance", "worker", "started_at_ms") }
                if job == "others" { try await scene.command("HSET", key, "instance", "i2") }
            }
            try await scene.command("DEL", "interrupt/run/\(try #require(runs["missing"]))")
            try await watching.kill("interruptd:w1")
            for job in ["running", "queued"] {
                let run = try #require(runs[job])
                try await eventually("\(job) has its end") { try await scene.client.record(of: run)?.state == .failed }
                #expect(try await scene.client.record(of: run)?.exitCode == 7)
            }
            #expect(try await scene.client.record(of: try #require(runs["others"]))?.state == .running)
            #expect(try await scene.client.record(of: try #require(runs["missing"])) == nil)
            #expect(try await scene.client.record(of: try #require(runs["known"])) == known)
            // Each is said after it was put on record.
            try await eventually("both are said") { watching.lines.count("forgotten that a run has ended") >= 2 }
            let said = watching.lines.all.filter { $0.contains("forgotten that a run has ended") }
            #expect(said.count == 2, "\(said)")
        }
    }

    @Test func `after a connect finds the runs that were ended while the server took them for queued`() async throws {
        try await withWatching { watching in
            let (ended, kept) = (try await watching.run("j").0, try await watching.run("k").0)
            #expect(try await watching.transport.heartbeat(running: 2, live: [ended, kept]) == [])
            try await watching.scene.command("HSET", "interrupt/run/\(ended)", "state", "interrupted")
            try await watching.scene.command("SREM", "interrupt/holds/w1", ended.rawValue)
            try await watching.kill("interruptd:w1")
            try await eventually("it asks") {
                (try? await watching.transport.heartbeat(running: 2, live: [ended, kept])) == [ended]
            }
        }
    }

    @Test func `after a connect finds the runs that another worker has claimed meanwhile`() async throws {
        try await withWatching { watching in
            let (taken, kept) = (try await watching.run("j").0, try await watching.run("k").0)
            #expect(try await watching.transport.heartbeat(running: 2, live: [taken, kept]) == [])
            try await watching.scene.command("HSET", "interrupt/run/\(taken)", "worker", "w2", "instance", "i2")
            try await watching.scene.command("SMOVE", "interrupt/holds/w1", "interrupt/holds/w2", taken.rawValue)
            #expect(try await watching.transport.heartbeat(running: 2, live: [taken, kept]) == [], "it did not ask")
            try await watching.kill("interruptd:w1")
            try await eventually("it asks") {
                (try? await watching.transport.heartbeat(running: 2, live: [taken, kept])) == [taken]
            }
        }
    }
}
