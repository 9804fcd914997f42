import FoundationEssentials
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
            try await client.closeGateAgain(queue, drain, ago: .seconds(5))
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
            #expect((50_000...60_000).contains(left))
        }
    }

    @Test func `on a group whose last run ended just before it closed opens by itself too`() async throws {
        try await withScene { scene in
            _ = try await scene.client.evaluate(
                RedisScripts.closeGate,
                InterruptSignal().arguments + ["group:g", "empty"]
            )
            let left = try await scene.command("PTTL", "interrupt/gate/group:g").integer ?? 0
            #expect((50_000...60_000).contains(left))
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

@Suite(.serialized, .timeLimit(.minutes(2))) struct `A server that refuses` {
    /// What there is for every script to change.
    private struct Prepared {
        /// It was last heard of long ago.
        let worker: ScriptWorker
        /// Three that it runs, the second of them asked to pause, the third leased.
        let run: RunID
        let pausing: RunID
        let leased: RunID
        /// It has taken the place of an instance that had a run.
        let heir: ScriptWorker
        let left: RunID
        let offer: RunOffer
    }

    private typealias Step = (name: String, call: () async throws -> Void)

    /// Every script with arguments that would do something, by its name and what else tells it apart.
    private func steps(_ scene: Scene, _ prepared: Prepared) -> [Step] {
        let signal = InterruptSignal()
        let (worker, offer) = (prepared.worker, prepared.offer)
        let (queued, entry) = (RedisArgument(offer.run.rawValue), RedisArgument(offer.entry))
        let own: [RedisArgument] = [.init(prepared.run.rawValue), "i1"]
        let sign: [RedisArgument] = ["w1", "i1", "0"]
        func script(_ script: RedisScript, _ arguments: [RedisArgument]) -> () async throws -> Void {
            { _ = try await scene.client.evaluate(script, arguments) }
        }
        let toQueue: [Step] = [
            ("submit", { _ = try await scene.client.submit(try scene.submission("new")) }),
            ("start", script(RedisScripts.start, [queued, "default", entry, "w1", "i1", "10000"])),
            (
                "claim_again",
                script(RedisScripts.claimAgain, ["w1", "i1", queued, "default", entry, "10000", "7", "7", "b"])
            ),
            ("give_back", script(RedisScripts.giveBack, ["default", queued, entry])),
        ]
        let toInterrupt: [Step] = [
            ("interrupt", { _ = try await scene.interrupt(prepared.run, signal) }),
            ("interrupt queued", { _ = try await scene.interrupt(offer.run, signal) }),
            ("import_flag", script(RedisScripts.importFlag, signal.arguments + [own[0], "j", "1"])),
            ("adopt_flag", script(RedisScripts.adoptFlag, ["all", "1", "{}"])),
            ("drop_flag", script(RedisScripts.dropFlag, ["all", "1"])),
            ("acknowledge", { _ = try await worker.acknowledge(signal, prepared.run) }),
            ("close_gate", script(RedisScripts.closeGate, signal.arguments + ["queue:default", "open"])),
            ("open_gate", script(RedisScripts.openGate, ["group:shut", "", "me"])),
            ("pause", script(RedisScripts.pause, ["pause", "q2", "me", "", "run", own[0], ""])),
            ("hold", script(RedisScripts.hold, ["pause", "queue:default", "q3", "me"])),
        ]
        let toTell: [Step] = [
            ("spawned", script(RedisScripts.spawned, own + ["7", "7", "b"])),
            ("progress", script(RedisScripts.progress, own + ["0.5", "m"])),
            ("holdout", script(RedisScripts.holdout, own + ["s", "c", "5"])),
            ("note", script(RedisScripts.note, own + ["checkpoint", "page 3"])),
            ("append", script(RedisScripts.append, own + ["1-0", "0", "out", "0", "x"])),
            ("paused", script(RedisScripts.paused, [.init(prepared.pausing.rawValue), "i1", "1"])),
            ("end", { _ = try await worker.end(prepared.run) }),
        ]
        let toWorkers: [Step] = [
            ("enter", script(RedisScripts.enter, ["w2", "i2", ""])),
            ("heartbeat", { _ = try await worker.heartbeat() }),
            ("lose", { _ = try await prepared.heir.lose(prepared.left) }),
            ("survey", script(RedisScripts.survey, [])),
            ("mark_silent", script(RedisScripts.markSilent, sign + ["w2"])),
            (
                "take_over",
                script(
                    RedisScripts.takeOver,
                    sign + [.init(prepared.leased.rawValue), "w2", "3600", "nextnextnextnextnext", "0"]
                )
            ),
            ("forget", script(RedisScripts.forget, [own[0], "me", "3600"])),
            ("leave", script(RedisScripts.leave, ["idle", "i1"])),
        ]
        return toQueue + toInterrupt + toTell + toWorkers
    }

    /// The names of all scripts, as the sources have them.
    private func everyScript() throws -> Set<String> {
        let directory = String(#filePath.split(separator: "/Tests/")[0]) + "/Sources/InterruptRedis/Contract"
        var names: Set<String> = []
        for file in try FileManager.default.contentsOfDirectory(atPath: directory) {
            let text = try String(contentsOfFile: "\(directory)/\(file)", encoding: .utf8)
            for part in text.split(separator: "= script(").dropFirst() {
                names.insert(String(part.split(separator: "\"")[1]))
            }
        }
        return names
    }

    private func prepared(_ scene: Scene) async throws -> Prepared {
        let predecessor = try await ScriptWorker(scene, "heir")
        let left = try await scene.running("left", on: predecessor)
        _ = try await scene.client.evaluate(RedisScripts.enter, ["heir", "i2", "i1"])
        _ = try await ScriptWorker(scene, "idle")
        let worker = try await ScriptWorker(scene)
        let run = try await scene.running("j", on: worker)
        let pausing = try await scene.running("pausing", on: worker)
        let pause: [RedisArgument] = ["pause", "q1", "me", "", "run", .init(pausing.rawValue), ""]
        _ = try await scene.client.evaluate(RedisScripts.pause, pause)
        var leased = try scene.submission("leased")
        leased.retries = 1
        _ = try await scene.client.submit(leased)
        #expect(try await worker.startAll() == [leased.run])
        try await scene.command("HSET", "interrupt/worker/w1", "seen_at_ms", "1")
        let closing = InterruptSignal(stage: .drain).arguments + ["group:shut", "open"]
        _ = try await scene.client.evaluate(RedisScripts.closeGate, closing)
        try await scene.submit("queued")
        let offer = try #require(try await worker.offers().first)
        // A run whose time has come.
        try await scene.command("ZADD", "interrupt/delayed", "1", "due")
        try await scene.command("SET", "interrupt:j", "1")
        try await scene.command("SET", "interrupt:all", "1")
        return Prepared(
            worker: worker,
            run: run,
            pausing: pausing,
            leased: leased.run,
            heir: ScriptWorker(predecessor, instance: "i2"),
            left: left,
            offer: offer
        )
    }

    @Test func `a newer contract is left alone by every script`() async throws {
        try await withScene { scene in
            let steps = steps(scene, try await prepared(scene))
            let tried = Set(steps.compactMap { $0.name.split(separator: " ").first.map(String.init) })
            #expect(try everyScript() == tried)
            try await scene.command("HSET", "interrupt/meta", "v", "2")
            let heard = try await Heard(scene, ["interrupt:signals:w1", "interrupt:events"])
            let before = try await scene.dump()
            for (name, step) in steps {
                let error = await #expect(throws: RedisError.self, "\(name)") { try await step() }
                #expect(error?.message.contains("contract version 2") == true, "\(name): \(error?.message ?? "")")
            }
            #expect(try await scene.dump() == before)
            #expect(try await heard.all().isEmpty)
        }
    }

    @Test(arguments: ["NOREPLICAS", "READONLY"])
    func `every write refuses every script as a whole, and nobody hears of it`(prefix: String) async throws {
        try await withScene { scene in
            let steps = steps(scene, try await prepared(scene))
            let heard = try await Heard(scene, ["interrupt:signals:w1", "interrupt:events"])
            let before = try await scene.dump()
            if prefix == "READONLY" {
                try await scene.command("REPLICAOF", "127.0.0.1", "1")
                try await scene.command("CONFIG", "SET", "replica-serve-stale-data", "yes")
            } else {
                try await scene.command("CONFIG", "SET", "min-replicas-to-write", "1")
            }
            for (name, step) in steps {
                let error = await #expect(throws: RedisError.self, "\(name)") { try await step() }
                #expect(error?.replyPrefix == prefix, "\(name): \(error?.message ?? "")")
            }
            #expect(try await scene.dump() == before)
            #expect(try await heard.all().isEmpty)
        }
    }

    @Test func `no memory refuses what adds to it as a whole, and the rest goes on`() async throws {
        try await withScene { scene in
            let prepared = try await prepared(scene)
            let heard = try await Heard(scene, ["interrupt:signals:w1", "interrupt:events"])
            try await scene.command("CONFIG", "SET", "maxmemory", "1")
            let before = try await scene.dump()
            let adding = [
                "submit", "interrupt", "interrupt queued", "import_flag", "acknowledge", "spawned", "progress",
                "holdout", "note", "append", "pause", "hold", "paused", "mark_silent", "close_gate",
            ]
            for (name, step) in steps(scene, prepared) where adding.contains(name) {
                let error = await #expect(throws: RedisError.self, "\(name)") { try await step() }
                #expect(error?.replyPrefix == "OOM", "\(name): \(error?.message ?? "")")
            }
            #expect(try await scene.dump() == before)
            #expect(try await heard.all().isEmpty)
            // A claim frees more than it takes: it is whole, or not at all.
            let started = try await prepared.worker.start(prepared.offer).array?.first?.text
            #expect(started == "started")
            #expect(try await scene.state(prepared.offer.run) == .running)
        }
    }
}
