import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

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

    @Test func `what is written of a run that is no longer on record leaves no trace`() async throws {
        try await withWatching { watching in
            let (order, _) = try await watching.start("j")
            try await watching.scene.command("FLUSHALL")
            let process = ProcessIdentity(boot: "b", pid: 7, start: 7)
            try await watching.transport.spawned(order.run, process: process)
            let chunk = OutputChunk(stream: .output, offset: 0, bytes: [1])
            try await watching.transport.append([chunk], of: order.run)
            #expect(try await !watching.scene.exists("interrupt/run/\(order.run)"))
            #expect(try await !watching.scene.exists("interrupt/output/\(order.run)"))
        }
    }

    @Test func `a process and its output are on record only for the instance that holds the run`() async throws {
        try await withWatching { watching in
            let (order, _) = try await watching.start("j")
            let chunk = OutputChunk(stream: .error, offset: 5, bytes: Array("a\0\r\n".utf8))
            try await watching.transport.append([chunk, chunk], of: order.run)
            let output = try await watching.scene.client.output(of: order.run, after: "0", waiting: nil)
            #expect(output.map(\.entry) == [.chunk(chunk), .chunk(chunk)])
            let process = ProcessIdentity(boot: "b", pid: 7, start: 7)
            try await watching.scene.command("HSET", "interrupt/run/\(order.run)", "instance", "i2")
            await #expect(throws: TransportError.replaced) {
                try await watching.transport.spawned(order.run, process: process)
            }
            await #expect(throws: TransportError.replaced) {
                try await watching.transport.append([chunk], of: order.run)
            }
            #expect(try await watching.scene.client.record(of: order.run)?.pid == nil)
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
            #expect(try await scene.events(of: run).suffix(2) == ["acknowledged", "ended"])
            for kind in ["run", "request", "output"] {
                #expect(
                    (3_500...3_600).contains(try await scene.command("TTL", "interrupt/\(kind)/\(run)").integer ?? 0)
                )
            }
            let output = try await scene.client.output(of: run, after: "0", waiting: nil)
            #expect(output.map(\.entry) == [.end(.interrupted)])
        }
    }

    @Test func `an end keeps what is known of the output, and its last line goes into the history`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            #expect(try await worker.end(run, more: ["", "1234", "/var/r.log", "file 17: ü"]) == "OK")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.outputBytes == 1_234 && record.outputFile == "/var/r.log")
            #expect(record.lastOutput == "file 17: ü")
            let entry = try #require(try await scene.client.history(limit: 10) { $0.event == "ended" }.last)
            #expect(entry.fields["last_output"] == "file 17: ü")
            let other = try await scene.running("k", on: worker)
            #expect(try await worker.end(other) == "OK")
            #expect(try await scene.client.record(of: other)?.lastOutput == nil)
        }
    }

    @Test func `an end for want of memory is on record`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            #expect(try await worker.end(run, "failed", exitCode: "", more: ["3"]) == "OK")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.ranOutOfMemory && record.memoryKills == 3)
            #expect(record.json.line.contains("\"oom\":true,\"oom_kills\":3"))
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

    @Test func `a worker that leaves with a run whose end is not on record stays on the list`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene, "w1", instance: "i1")
            let run = try await scene.running("j", on: worker)
            let before = try await scene.dump()
            #expect(try await worker.script(RedisScripts.leave, ["w1", "i1"]).text == "holding")
            #expect(try await scene.dump() == before)
            // What is left of a run whose record is gone holds nobody.
            try await scene.command("SADD", "interrupt/holds/w1", "gone")
            #expect(try await worker.end(run) == "OK")
            #expect(try await worker.script(RedisScripts.leave, ["w1", "i1"]).text == "OK")
            #expect(try await scene.command("EXISTS", "interrupt/worker/w1").integer == 0)
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
