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

@Suite(.serialized, .timeLimit(.minutes(2))) struct `Interrupting` {
    private let plain = InterruptSignal(reason: .priorityOverride, message: "make room", triggeredBy: "ops")

    @Test func `a queued run ends it at once, and nobody can start it`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.submit("j", groups: ["g"])
            let offer = try #require(try await worker.offers().first)
            let receipt = try await scene.interrupt(run, plain)
            #expect(receipt.outcome == .stopped && receipt.state == .interrupted && receipt.job == "j")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.state == .interrupted && record.message == "make room" && record.way == .queued)
            #expect(record.confirmedAt != nil && record.endedAt != nil)
            for key in ["queue/default", "live", "group/g"] where try await scene.exists("interrupt/\(key)") {
                #expect(key == "queue/default")
                #expect(try await scene.command("XLEN", "interrupt/\(key)").integer == 0)
            }
            #expect(try await worker.start(offer).array?.first?.text == "gone")
            #expect(try await scene.state(run) == .interrupted)
            #expect(try await scene.events(of: run) == ["submitted", "requested", "ended"])
        }
    }

    @Test func `a running run records it, mirrors it and tells its worker`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let heard = try await Heard(scene, ["interrupt:signals:w1", "interrupt:signals", "interrupt:events"])
            let receipt = try await scene.interrupt(run, plain)
            #expect(receipt.outcome == .accepted && receipt.state == .running)
            #expect(receipt.signal?.id == plain.id && receipt.signal?.reason == plain.reason)
            #expect(try await scene.client.request(for: run)?.message == "make room")
            #expect(try await scene.command("TTL", "interrupt/request/\(run)").integer == -1)
            let flag = try await scene.command("GET", "interrupt:j").bytes ?? []
            #expect(try FlagValue.read(flag)?.requestID == plain.id.rawValue)
            #expect((86_000...86_400).contains(try await scene.command("TTL", "interrupt:j").integer ?? 0))
            let pushes = try await heard.all()
            #expect(pushes.map(\.channel) == ["interrupt:events", "interrupt:signals:w1"])
            let message = try SignalMessage(json: try #require(pushes.last?.payload.bytes))
            #expect(message.run == run.rawValue && message.requestID == plain.id.rawValue && message.stage == 2)
            let entry = try #require(try await scene.client.history(limit: 1).first)
            #expect(entry.event == "requested" && entry.fields["triggered_by"] == "ops")
            #expect(entry.fields["reason"] == "priority_override" && entry.fields["stage"] == "2")
        }
    }

    @Test func `again: the first cause stays, the stage only rises, and nothing counts twice`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let drain = InterruptSignal(stage: .drain, reason: .timeout, message: "first", gracePeriod: .seconds(9))
            var harder = InterruptSignal(stage: .kill, triggeredBy: "boss")
            harder.gracePeriod = .seconds(3)
            var outcomes = [try await scene.interrupt(run, drain).outcome]
            outcomes.append(try await scene.interrupt(run, drain).outcome)
            outcomes.append(try await scene.interrupt(run, harder).outcome)
            outcomes.append(try await scene.interrupt(run, plain).outcome)
            let before = try await scene.events(of: run)
            for signal in [drain, harder, plain] { outcomes.append(try await scene.interrupt(run, signal).outcome) }
            #expect(outcomes == [.accepted, .known, .escalated, .already, .known, .known, .known])
            #expect(before == ["submitted", "started", "requested", "escalated", "late"])
            #expect(try await scene.events(of: run) == before)
            let request = try #require(try await scene.client.request(for: run))
            #expect(request.stage == .kill && request.reason == .timeout && request.message == "first")
            #expect(request.id == drain.id && request.gracePeriod == .seconds(3))
            #expect(try await worker.acknowledge(request, run) == "OK")
            let record = try #require(try await scene.client.record(of: run))
            guard case .object(let members) = record.json, case .array(let all)? = members["escalated_by"],
                case .object(let by)? = all.first
            else { Issue.record("no escalated_by in \(record.json.line)"); return }
            #expect(by["triggered_by"] == .string("boss") && by["stage"] == .integer(3))
            #expect(record.stage == .kill && record.reason == .timeout)
        }
    }

    @Test func `one run 1,000 times at once over 10 connections: one is accepted`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let outcomes = try await withThrowingTaskGroup(of: [InterruptReceipt.Outcome].self) { group in
                for _ in 0..<10 {
                    let other = try await scene.another()
                    group.addTask {
                        var outcomes: [InterruptReceipt.Outcome] = []
                        for _ in 0..<100 { outcomes.append(try await other.interrupt(run, InterruptSignal()).outcome) }
                        other.connection.close()
                        return outcomes
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(outcomes.count { $0 == .accepted } == 1)
            #expect(outcomes.count { $0 == .already } == 999)
            let events = try await scene.events(of: run)
            #expect(events.count { $0 == "requested" } == 1 && events.count { $0 == "late" } == 999)
        }
    }

    @Test func `what has ended, never was or is another run than expected changes nothing`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let ended = try await scene.running("a", on: worker)
            _ = try await worker.end(ended)
            let live = try await scene.running("b", on: worker)
            let heard = try await Heard(scene, ["interrupt:signals:w1", "interrupt:events"])
            let before = try await scene.dump()
            let job = try Name("b")
            #expect(try await scene.interrupt(ended, plain).outcome == .ended)
            #expect(try await scene.client.interrupt([.job(try Name("a"))], plain).first?.state == .completed)
            #expect(try await scene.client.interrupt([.job(try Name("no"))], plain).first?.outcome == .missing)
            #expect(try await scene.interrupt(RunID(rawValue: "no"), plain).outcome == .missing)
            let replaced = try await scene.client.interrupt([.job(job)], plain, expected: ended)
            #expect(replaced.first?.outcome == .replaced && replaced.first?.run == live)
            #expect(try await scene.dump() == before)
            #expect(try await heard.all().isEmpty)
        }
    }

    @Test func `250 runs takes three scripts and gives a receipt each, in order`() async throws {
        try await withScene { scene in
            var runs: [RunID] = []
            for index in 0..<250 { runs.append(try await scene.submit("j\(index)")) }
            let receipts = try await scene.client.interrupt(runs.map(RunReference.run), plain)
            #expect(receipts.map(\.run) == runs && receipts.allSatisfy { $0.outcome == .stopped })
            let calls = try await scene.command("INFO", "commandstats").text ?? ""
            #expect(
                calls.contains("cmdstat_evalsha:calls=253") || calls.contains("cmdstat_evalsha:calls=252"),
                "\(calls)"
            )
        }
    }

    @Test func `does not overwrite somebody's flag that was not yet taken in`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            try await scene.command("SET", "interrupt:j", "{\"stage\":3}")
            _ = try await scene.interrupt(run, plain)
            #expect(try await scene.command("GET", "interrupt:j").text == "{\"stage\":3}")
            // Its own mirror follows the record, and a flag that is down is no request.
            try await scene.command("SET", "interrupt:j", "0")
            _ = try await scene.interrupt(run, plain)
            _ = try await scene.interrupt(run, InterruptSignal(stage: .kill))
            #expect(try FlagValue.read(try await scene.command("GET", "interrupt:j").bytes ?? [])?.stage == 3)
        }
    }

    @Test func `survives the loss of all loaded scripts`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            for _ in 0..<50 {
                try await scene.command("SCRIPT", "FLUSH")
                #expect(try await [.accepted, .already].contains(scene.interrupt(run, InterruptSignal()).outcome))
            }
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A worker's receipts and outcomes` {
    @Test func `only stage 2 and harder make a run cancelling`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let drain = InterruptSignal(stage: .drain)
            _ = try await scene.interrupt(run, drain)
            #expect(try await scene.state(run) == .running)
            #expect(try await worker.acknowledge(drain, run) == "OK")
            #expect(try await scene.state(run) == .running)
            let terminate = InterruptSignal(stage: .terminate)
            _ = try await scene.interrupt(run, terminate)
            #expect(try await scene.state(run) == .running, "not before the receipt")
            #expect(try await worker.acknowledge(terminate, run, way: .tracked) == "OK")
            #expect(try await scene.state(run) == .cancelling)
            let events = try await scene.events(of: run)
            #expect(events.suffix(4) == ["requested", "acknowledged", "escalated", "acknowledged"])
            #expect(try await worker.acknowledge(terminate, run) == "OK")
            #expect(try await scene.events(of: run) == events)
        }
    }

    @Test func `a receipt says the stage that the worker has seen, not a harder one that is on its way`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let seen = InterruptSignal(stage: .drain)
            _ = try await scene.interrupt(run, seen)
            _ = try await scene.interrupt(run, InterruptSignal(stage: .kill))
            #expect(try await worker.acknowledge(seen, run) == "OK")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.stage == .drain && record.state == .running)
            #expect(try await scene.client.request(for: run)?.stage == .kill)
        }
    }

    @Test func `a record of another shape counts as none, and ends nothing half-way`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            try await scene.command("SET", "interrupt/request/\(run)", #"{"stage":2,"seen":1}"#)
            let signal = InterruptSignal(message: String(repeating: "\u{7F}/", count: 100_000))
            #expect(try await scene.interrupt(run, signal).outcome == .accepted)
            #expect(try await scene.client.request(for: run)?.id == signal.id, "what is on record can be read back")
            #expect(try await worker.acknowledge(signal, run) == "OK")
            #expect(try await worker.end(run, "interrupted") == "OK")
            #expect(try await !scene.exists("interrupt/live"))
        }
    }

    @Test func `a grace period beyond all bounds does not spoil the record`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let signal = InterruptSignal(gracePeriod: .milliseconds(Int64.max))
            #expect(try await scene.interrupt(run, signal).signal?.gracePeriod == .longestAccepted)
        }
    }

    @Test func `a server that has forgotten the worker is no other instance`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            try await scene.command("FLUSHALL")
            #expect(try await worker.heartbeat() == "unknown")
        }
    }

    @Test func `a local interrupt gets on record with its receipt`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let signal = InterruptSignal(reason: .timeout, source: .timeout)
            #expect(try await worker.acknowledge(signal, run, way: .local) == "OK")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.state == .cancelling && record.reason == .timeout && record.way == .local)
            #expect(try await scene.client.request(for: run)?.source == .timeout)
        }
    }

    @Test func `an end is final, and takes the run out of every index`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", groups: ["g"], on: worker)
            let signal = InterruptSignal()
            _ = try await scene.interrupt(run, signal)
            _ = try await worker.acknowledge(signal, run)
            #expect(try await worker.end(run, "interrupted", exitCode: "") == "OK")
            let ended = try await scene.dump()
            #expect(try await worker.end(run, "completed") == "OK")
            #expect(try await worker.acknowledge(InterruptSignal(stage: .kill), run) == "ended")
            #expect(try await scene.dump() == ended)
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.state == .interrupted && record.confirmedAt != nil && record.exitCode == nil)
            for key in ["interrupt/live", "interrupt/holds/w1", "interrupt/group/g", "interrupt:j"] {
                #expect(try await !scene.exists(key), "\(key)")
            }
            #expect(try await scene.events(of: run).suffix(2) == ["flag_dropped", "ended"])
            for kind in ["run", "request", "output"] {
                #expect(
                    (3_500...3_600).contains(try await scene.command("TTL", "interrupt/\(kind)/\(run)").integer ?? 0)
                )
            }
            let output = try await scene.client.output(of: run, after: "0", waiting: nil)
            #expect(output.map(\.entry) == [.end(.interrupted)])
        }
    }

    @Test func `another instance than the one that holds the run or the name is refused everywhere`() async throws {
        try await withScene { scene in
            let old = try await ScriptWorker(scene, "w1", instance: "old")
            let run = try await scene.running("j", on: old)
            try await scene.submit("k")
            let offer = try #require(try await old.offers().first)
            let entered = try await scene.client.evaluate(RedisScripts.enter, ["w1", "new", ""])
            #expect(entered.array?.first?.text == "in_use")
            let taken = try await scene.client.evaluate(RedisScripts.enter, ["w1", "new", "old"])
            #expect(taken.array?.last?.array?.first?.array?.first?.text == run.rawValue, "what is left is named")
            let new = ScriptWorker(old, instance: "new")
            let before = try await scene.dump()
            #expect(try await old.start(offer).array?.first?.text == "replaced")
            #expect(try await old.heartbeat() == "replaced")
            #expect(try await new.acknowledge(InterruptSignal(), run) == "replaced")
            #expect(try await new.end(run) == "replaced")
            #expect(try await old.script(RedisScripts.leave, ["w1", "old"]).text == "replaced")
            let stranger = ScriptWorker(old, instance: "stranger")
            #expect(try await stranger.lose(run) == "replaced")
            #expect(try await scene.dump() == before)
            #expect(try await new.lose(run) == "OK")
            #expect(try await scene.state(run) == .lost)
        }
    }

    @Test func `no other word than an end ends a run, and a queued run is not lost`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let queued = try await scene.submit("k")
            let before = try await scene.dump()
            for state in ["running", "queued", "cancelling", "", "gone"] {
                await #expect(throws: RedisError.self) { try await worker.end(run, state) }
            }
            #expect(try await worker.end(queued) == "replaced")
            #expect(try await worker.lose(queued) == "OK")
            #expect(try await scene.dump() == before)
        }
    }

    @Test func `random steps never leave the table of states`() async throws {
        try await withScene { scene in
            let workers = [
                try await ScriptWorker(scene, "w1", instance: "i1"),
                try await ScriptWorker(scene, "w2", instance: "i2"),
            ]
            var generator = SystemRandomNumberGenerator()
            var runs: [RunID: RunState] = [:]
            var offers: [RunOffer] = []
            var steps: [String: Int] = [:]
            for _ in 0..<4_000 {
                let run = runs.keys.randomElement(using: &generator) ?? RunID(rawValue: "none")
                let worker = workers.randomElement(using: &generator)!
                var touched: Set<RunID> = [run]
                let signal = InterruptSignal(stage: InterruptStage.allCases.randomElement(using: &generator)!)
                switch Int.random(in: 0..<8, using: &generator) {
                case 0:
                    let submission = try scene.submission("j\(Int.random(in: 0..<20, using: &generator))")
                    if case .queued(let id) = try await scene.client.submit(submission) { runs[id] = .queued }
                case 1: offers += try await worker.offers()
                case 2, 3:
                    guard let offer = offers.randomElement(using: &generator) else { continue }
                    touched = [offer.run]
                    _ = try await worker.start(offer)
                case 4: _ = try await scene.interrupt(run, signal)
                case 5: _ = try await worker.acknowledge(signal, run)
                case 6:
                    let end = RunState.allCases.filter(\.isEnd).randomElement(using: &generator)!
                    _ = try await worker.end(run, end.rawValue)
                default: _ = try await worker.lose(run)
                }
                for id in touched {
                    guard let old = runs[id], let new = try await scene.state(id), new != old else { continue }
                    #expect(old.canBecome(new), "\(old) -> \(new)")
                    steps["\(old) -> \(new)", default: 0] += 1
                    runs[id] = new
                }
                // An offer of an ended run says nothing more; a few are kept to be tried late.
                offers.removeAll { runs[$0.run]?.isEnd == true && Int.random(in: 0..<10, using: &generator) > 0 }
            }
            print("random steps: \(steps.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
            let live = try await scene.client.liveRuns(of: .all)
            #expect(Set(live) == Set(runs.filter { !$0.value.isEnd }.keys))
        }
    }
}
