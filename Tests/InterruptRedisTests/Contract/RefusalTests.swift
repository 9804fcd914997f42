import FoundationEssentials
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

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
