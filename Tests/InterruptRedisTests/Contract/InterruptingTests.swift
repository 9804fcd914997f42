import InterruptCore
import InterruptJSON
import InterruptTesting
import Testing

@testable import InterruptRedis

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

    @Test func `happens when the server says, whatever the clock of the requester`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for (job, shift) in [("slow", -86_400_000), ("fast", 86_400_000)] as [(String, Int64)] {
                let run = try await scene.running(job, on: worker)
                let before = try await scene.client.serverTime()
                let asked = Timestamp(milliseconds: before.milliseconds + shift)
                let signal = InterruptSignal(triggeredAt: asked)
                _ = try await scene.interrupt(run, signal)
                let after = try await scene.client.serverTime()
                let request = try #require(try await scene.client.request(for: run))
                #expect(request.triggeredAt >= before && request.triggeredAt <= after)
                _ = try await worker.acknowledge(signal, run)
                let record = try #require(try await scene.client.record(of: run))
                #expect(record.requestedAt == request.triggeredAt)
            }
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

    @Test func `again is known when the run has ended since, and touches no newer run of the job`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("a", on: worker)
            let harder = InterruptSignal(stage: .kill)
            for signal in [plain, harder] { _ = try await scene.interrupt(run, signal) }
            _ = try await worker.end(run)
            let newer = try await scene.running("a", on: worker)
            let before = try await scene.dump()
            for signal in [plain, harder] {
                let receipt = try await scene.interrupt(run, signal)
                #expect(receipt.outcome == .known && receipt.run == run && receipt.state?.isEnd == true)
            }
            #expect(try await scene.interrupt(run, InterruptSignal()).outcome == .ended)
            #expect(try await scene.dump() == before)
            #expect(try await scene.state(newer) == .running)
        }
    }

    @Test func `a target again asks those too whom the first attempt has ended`() async throws {
        try await withScene { scene in
            let runs = [try await scene.submit("a", groups: ["g"]), try await scene.submit("b", groups: ["g"])]
            let group = try InterruptTarget("group:g")
            var members: [RunID] = []
            for outcome in [InterruptReceipt.Outcome.stopped, .known] {
                let receipts = try await scene.client.interrupt(group, plain, members: &members)
                #expect(Set(receipts.compactMap(\.run)) == Set(runs) && Set(members) == Set(runs))
                #expect(receipts.allSatisfy { $0.outcome == outcome && $0.state == .interrupted })
            }
            #expect(try await scene.client.interrupt(group, plain).isEmpty)
        }
    }

    @Test func `a replica says nothing that only it believes`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let ended = try await scene.running("ended", on: worker)
            _ = try await worker.end(ended)
            let run = try await scene.running("a", on: worker)
            _ = try await scene.interrupt(run, plain)
            let live = try scene.submission("a")
            let before = try await scene.dump()
            try await scene.command("REPLICAOF", "127.0.0.1", "1")
            let missing = RunReference.job(try Name("no"))
            for reference in [missing, .run(ended), .run(run)] {
                let error = await #expect(throws: RedisError.self) {
                    try await scene.client.interrupt([reference], plain)
                }
                #expect(error?.replyPrefix == "READONLY", "\(reference)")
            }
            let nobody = await #expect(throws: RedisError.self) {
                try await scene.client.interrupt(try InterruptTarget("group:nobody"), plain)
            }
            #expect(nobody?.replyPrefix == "READONLY")
            let submitted = await #expect(throws: RedisError.self) { try await scene.client.submit(live) }
            #expect(submitted?.replyPrefix == "READONLY")
            #expect(try await scene.dump() == before)
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

    @Test(arguments: ["", "0", "4", "2.5", "nan", "two"])
    func `a stage that is none is refused, and nothing is recorded`(stage: String) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let before = try await scene.dump()
            var arguments = plain.arguments
            arguments[2] = .init(stage)
            let refused = await #expect(throws: RedisError.self) {
                try await worker.script(RedisScripts.interrupt, arguments + ["", "run", .init(run.rawValue), ""])
            }
            #expect(refused?.message.contains("is not 1, 2 or 3") == true)
            #expect(try await scene.dump() == before)
        }
    }

    @Test(arguments: [("-5", nil), ("nan", nil), ("", nil), ("inf", 315_360_000), ("700", 0.7)])
    func `a grace period that is none is left out, and ten years are the longest`(
        milliseconds: String,
        seconds: Double?
    ) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            var arguments = plain.arguments
            arguments[7] = .init(milliseconds)
            _ = try await worker.script(RedisScripts.interrupt, arguments + ["", "run", .init(run.rawValue), ""])
            let recorded = try #require(try await scene.client.request(for: run))
            #expect(recorded.id == plain.id && recorded.gracePeriod == seconds.map { .seconds($0) })
        }
    }
}
