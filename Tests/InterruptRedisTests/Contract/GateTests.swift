import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A gate` {
    @Test func `of a drain stays closed until it is opened`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let running = try await scene.running("a", groups: ["g"], on: worker)
            let queued = try await scene.submit("b", groups: ["g"])
            let group = try InterruptTarget("group:g")
            let receipts = try await scene.client.interrupt(group, InterruptSignal(stage: .drain, triggeredBy: "ops"))
            #expect(Set(receipts.map(\.outcome)) == [.accepted, .stopped])
            #expect(try await scene.state(running) == .running)
            #expect(try await scene.state(queued) == .interrupted)
            #expect(try await scene.command("TTL", "interrupt/gate/group:g").integer == -1)
            _ = try await worker.end(running)
            #expect(try await scene.command("TTL", "interrupt/gate/group:g").integer == -1)
            // A harder request on it raises its stage, and does not open it afterwards.
            _ = try await scene.client.interrupt(group, InterruptSignal(stage: .kill))
            #expect(try await scene.exists("interrupt/gate/group:g"))
            #expect(try await scene.client.openGate(group, by: "ops"))
            #expect(try await !scene.client.openGate(group, by: "ops"))
            try await scene.submit("c", groups: ["g"])
        }
    }

    @Test func `that the server has lost is closed again, unless somebody has opened it or it stands`() async throws {
        try await withScene { scene in
            let queue = try InterruptTarget("queue:default")
            let gate = "interrupt/gate/queue:default"
            let drain = InterruptSignal(stage: .drain, triggeredBy: "ops")
            let client = scene.client
            // An earlier one was opened: that is not about this one.
            _ = try await client.interrupt(queue, InterruptSignal(stage: .drain))
            #expect(try await client.openGate(queue, by: "boss"))
            let openedAt = try await client.serverTime()
            try await scene.until { try await client.serverTime() - openedAt > .milliseconds(20) }
            _ = try await client.interrupt(queue, drain)
            let before = try await scene.dump()
            try await client.closeGateAgain(queue, drain, ago: .milliseconds(10))
            #expect(try await scene.dump() == before)
            try await scene.command("DEL", gate)
            try await client.closeGateAgain(queue, drain, ago: .milliseconds(10))
            #expect(try await scene.command("HGET", gate, "request_id").text == drain.id.rawValue)
            #expect(try await client.openGate(queue, by: "boss"))
            try await client.closeGateAgain(queue, drain, ago: .seconds(3_600))
            #expect(try await !scene.exists(gate))
            // One that stood only while members were listed is not missed.
            try await client.closeGateAgain(queue, InterruptSignal(), ago: .seconds(0))
            #expect(try await !scene.exists(gate))
        }
    }

    @Test func `of a cancel on a group stays until its last live run has ended and a minute more`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let first = try await scene.running("a", groups: ["g"], on: worker)
            let second = try await scene.running("b", groups: ["g"], on: worker)
            _ = try await scene.client.interrupt(try InterruptTarget("group:g"), InterruptSignal())
            #expect(try await scene.command("PTTL", "interrupt/gate/group:g").integer == -1)
            _ = try await worker.end(first)
            #expect(try await scene.command("PTTL", "interrupt/gate/group:g").integer == -1)
            _ = try await worker.end(second)
            let left = try await scene.command("PTTL", "interrupt/gate/group:g").integer ?? 0
            #expect((30_000...60_000).contains(left))
        }
    }

    @Test func `on a group whose last run ended just before it closed opens by itself too`() async throws {
        try await withScene { scene in
            _ = try await scene.client.evaluate(
                RedisScripts.closeGate,
                InterruptSignal().arguments + ["group:g", "empty"]
            )
            let left = try await scene.command("PTTL", "interrupt/gate/group:g").integer ?? 0
            #expect((30_000...60_000).contains(left))
        }
    }

    @Test(arguments: ["queue:default", "worker:w1", "all"])
    func `of a cancel on a queue, a worker or all is gone once the members are told`(target: String) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("a", on: worker)
            let other = try await scene.submit("elsewhere", queue: "other")
            let receipts = try await scene.client.interrupt(try InterruptTarget(target), InterruptSignal())
            #expect(receipts.contains { $0.run == run && $0.outcome == .accepted })
            #expect(receipts.contains { $0.run == other } == (target == "all"))
            #expect(try await !scene.exists("interrupt/gate/\(target)"))
        }
    }

    @Test func `is not closed for a group without members`() async throws {
        try await withScene { scene in
            let receipts = try await scene.client.interrupt(try InterruptTarget("group:g"), InterruptSignal())
            #expect(receipts.isEmpty)
            #expect(try await !scene.exists("interrupt/gate/group:g"))
        }
    }

    @Test func `is not closed when exactly these runs are meant, but a drain always closes it`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let group = try InterruptTarget("group:g")
            let first = try await scene.running("a", groups: ["g"], on: worker)
            let second = try await scene.running("b", groups: ["g"], on: worker)
            let elsewhere = try await scene.running("c", on: worker)
            let receipts = try await scene.client.interrupt(group, InterruptSignal(), only: [first, elsewhere])
            #expect(receipts.map(\.run) == [first] && receipts.map(\.outcome) == [.accepted])
            for untouched in [second, elsewhere] {
                #expect(try await scene.client.request(for: untouched) == nil)
            }
            #expect(try await !scene.exists("interrupt/gate/group:g"))
            _ = try await scene.running("newcomer", groups: ["g"], on: worker)
            _ = try await scene.client.interrupt(group, InterruptSignal(stage: .drain), only: [second])
            #expect(try await scene.exists("interrupt/gate/group:g"))
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A flag and the record` {
    private func imported(_ scene: Scene, _ signal: InterruptSignal, _ run: RunID, _ value: String) async throws
        -> String?
    {
        let more: [RedisArgument] = [.init(run.rawValue), "j", .init(value)]
        return try await scene.client.evaluate(RedisScripts.importFlag, signal.arguments + more).array?.first?.text
    }

    @Test func `it is taken in and deleted only if it still has the value that was read`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            try await scene.command("SET", "interrupt:j", "{\"stage\":3}")
            let before = try await scene.dump()
            #expect(try await imported(scene, InterruptSignal(), run, "1") == "changed")
            #expect(try await scene.dump() == before)
            let signal = InterruptSignal(stage: .kill, source: .flag)
            #expect(try await imported(scene, signal, run, "{\"stage\":3}") == "accepted")
            #expect(try await !scene.exists("interrupt:j"))
            #expect(try await scene.client.request(for: run)?.stage == .kill)
            let after = try await scene.dump()
            #expect(try await imported(scene, signal, run, "{\"stage\":3}") == "changed", "a retry is harmless")
            #expect(try await scene.dump() == after)
        }
    }

    @Test func `a mirror of the record is known and stays`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let signal = InterruptSignal()
            _ = try await scene.interrupt(run, signal)
            let mirror = try await scene.command("GET", "interrupt:j").text ?? ""
            let before = try await scene.dump()
            #expect(try await imported(scene, signal, run, mirror) == "known")
            #expect(try await scene.dump() == before)
        }
    }

    @Test func `a softer flag never lowers the stage`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            _ = try await scene.interrupt(run, InterruptSignal(stage: .kill))
            try await scene.command("SET", "interrupt:j", "{\"stage\":1}")
            #expect(try await imported(scene, InterruptSignal(stage: .drain), run, "{\"stage\":1}") == "already")
            #expect(try await scene.client.request(for: run)?.stage == .kill)
            #expect(try await !scene.exists("interrupt:j"))
        }
    }

    @Test(arguments: ["group:g", "queue:default", "worker:w1", "all"])
    func `a wide flag that two workers adopt at once reaches every member once`(target: String) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let other = try await scene.another()
            let wide = try InterruptTarget(target)
            for round in 0..<20 {
                let runs = [
                    try await scene.running("a\(round)", groups: ["g"], on: worker),
                    try await scene.running("b\(round)", groups: ["g"], on: worker),
                ]
                try await scene.command("SET", "interrupt:\(target)", "1")
                let one = Array("1".utf8)
                async let first: Void = scene.client.importWideFlag(
                    InterruptSignal(source: .flag),
                    target: wide,
                    value: one
                )
                async let second: Void = other.client.importWideFlag(
                    InterruptSignal(source: .flag),
                    target: wide,
                    value: one
                )
                _ = try await (first, second)
                #expect(try await !scene.exists("interrupt:\(target)"))
                for run in runs {
                    #expect(try await scene.events(of: run).suffix(1) == ["requested"])
                    _ = try await worker.end(run)
                }
                _ = try await scene.client.openGate(wide, by: nil)
            }
        }
    }
}
