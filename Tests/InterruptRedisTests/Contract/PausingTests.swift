import FoundationEssentials
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

extension Scene {
    func ask(
        _ action: PauseRequest.Action,
        _ run: RunID,
        by who: String = "ann",
        expected: RunID? = nil
    ) async throws -> PauseOutcome {
        let request = PauseRequest(action, triggeredBy: who)
        return try #require(try await client.ask(request, of: [.run(run)], expected: expected).first).outcome
    }
}

extension ScriptWorker {
    func paused(_ run: RunID, _ isPaused: Bool) async throws -> String? {
        try await script(RedisScripts.paused, [.init(run.rawValue), .init(instance), isPaused ? "1" : "0"]).text
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A pause on record` {
    @Test func `makes the run paused only when its worker says so, and running again likewise`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            #expect(try await scene.ask(.pause, run) == .recorded)
            #expect(try await scene.state(run) == .running)
            #expect(try await worker.paused(run, true) == "OK")
            let paused = try #require(try await scene.client.record(of: run))
            #expect(paused.state == .paused && paused.pausedAt != nil && paused.pausedBy == "ann")
            #expect(paused.json.line.contains(#""paused_at":"20"#))
            #expect(try await scene.ask(.resume, run, by: "bob") == .recorded)
            #expect(try await !scene.exists("interrupt/pause/\(run)"))
            #expect(try await scene.state(run) == .paused)
            #expect(try await worker.paused(run, false) == "OK")
            let resumed = try #require(try await scene.client.record(of: run))
            #expect(resumed.state == .running && resumed.pausedAt == nil)
            let history = try await scene.client.history(limit: 100) { $0.event == "paused" || $0.event == "resumed" }
            #expect(history.map { "\($0.event) \($0.fields["triggered_by"] ?? "")" } == ["paused ann", "resumed bob"])
        }
    }

    @Test func `is told to those who watch, once, however often it is repeated`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let heard = try await Heard(scene, [scene.keys.events])
            for isPaused in [true, false] {
                _ = try await scene.ask(isPaused ? .pause : .resume, run)
                for _ in 0..<3 { #expect(try await worker.paused(run, isPaused) == "OK") }
            }
            let texts = try await heard.all().map { String(decoding: $0.payload.bytes ?? [], as: UTF8.self) }
            #expect(texts.count == 2)
            #expect(
                texts.first?.contains(#""event":"paused""#) == true
                    && texts.first?.contains(#""state":"paused""#) == true
            )
            #expect(
                texts.last?.contains(#""event":"resumed""#) == true
                    && texts.last?.contains(#""state":"running""#) == true
            )
        }
    }

    @Test func `sums up the time of all pauses, by the server's clock`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            var least = Duration.zero
            for _ in 1...3 {
                _ = try await scene.ask(.pause, run)
                _ = try await worker.paused(run, true)
                let pausedAt = try #require(try await scene.client.record(of: run)?.pausedAt)
                try await scene.until { try await scene.client.serverTime() - pausedAt >= .milliseconds(20) }
                least += .milliseconds(20)
                _ = try await scene.ask(.resume, run)
                _ = try await worker.paused(run, false)
            }
            #expect(try #require(try await scene.client.record(of: run)).pausedTime >= least)
        }
    }

    @Test func `asked again, or for what does not run, changes nothing and says why`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            #expect(try await scene.ask(.resume, run) == .already)
            #expect(try await scene.ask(.pause, run) == .recorded)
            #expect(try await scene.ask(.pause, run) == .already)
            #expect(try await scene.ask(.pause, run, expected: RunID(rawValue: "other")) == .replaced)
            #expect(try await scene.ask(.resume, run) == .withdrawn, "no worker had paused it")
            #expect(try await worker.paused(run, true) == "OK")
            #expect(try await scene.state(run) == .running, "it was taken back")
            let queued = try await scene.submit("queued")
            #expect(try await scene.ask(.pause, queued) == .queued)
            _ = try await scene.interrupt(run, InterruptSignal())
            _ = try await worker.acknowledge(InterruptSignal(), run)
            #expect(try await scene.ask(.pause, run) == .cancelling)
            _ = try await worker.end(run, "interrupted")
            #expect(try await scene.ask(.pause, run) == .ended)
            #expect(try await scene.ask(.resume, run) == .ended)
            #expect(try await scene.ask(.pause, .random()) == .missing)
            var handler = Submission(job: try Name("h"), queue: try Name("default"), handler: try Name("resize"))
            handler.run = RunID(rawValue: "hr")
            _ = try await scene.client.submit(handler)
            _ = try await worker.startAll()
            #expect(try await scene.ask(.pause, handler.run) == .handler)
            #expect(try await scene.command("KEYS", "interrupt/pause/*").array?.isEmpty == true)
        }
    }

    @Test func `is over with the receipt of an interrupt, with the end, and with its worker's death`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for way in ["receipt", "end", "death"] {
                let run = try await scene.running(way, on: worker)
                _ = try await scene.ask(.pause, run)
                _ = try await worker.paused(run, true)
                let pausedAt = try #require(try await scene.client.record(of: run)?.pausedAt)
                try await scene.until { try await scene.client.serverTime() > pausedAt }
                switch way {
                case "receipt":
                    // A drain lets it finish, so it stays paused.
                    _ = try await worker.acknowledge(InterruptSignal(stage: .drain), run)
                    #expect(try await scene.state(run) == .paused)
                    _ = try await worker.acknowledge(InterruptSignal(), run)
                    #expect(try await scene.state(run) == .cancelling)
                case "end": _ = try await worker.end(run, "failed", exitCode: "1")
                default:
                    let next = ScriptWorker(worker, instance: "i2")
                    let takeover: [RedisArgument] = ["w1", "i2", .init(worker.instance)]
                    _ = try await next.script(RedisScripts.enter, takeover)
                    #expect(try await next.lose(run) == "OK")
                }
                let record = try #require(try await scene.client.record(of: run))
                #expect(record.pausedAt == nil && record.pausedTime > .zero, "\(way)")
                #expect(try await !scene.exists("interrupt/pause/\(run)"), "\(way)")
            }
        }
    }

    @Test func `is not another instance's to write`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            _ = try await scene.ask(.pause, run)
            #expect(try await ScriptWorker(worker, instance: "other").paused(run, true) == "replaced")
            #expect(try await scene.state(run) == .running)
        }
    }

    @Test func `of 250 runs takes three scripts, and a receipt each, in order`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for number in 0..<250 { try await scene.submit("j\(number)") }
            let runs = try await worker.startAll()
            let references = runs.map(RunReference.run)
            let receipts = try await scene.client.ask(PauseRequest(.pause, triggeredBy: "ann"), of: references)
            #expect(receipts.map(\.run) == runs && receipts.allSatisfy { $0.outcome == .recorded })
            #expect(try await scene.command("KEYS", "interrupt/pause/*").array?.count == 250)
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A paused target` {
    @Test(arguments: ["all", "queue:default", "group:g", "worker:w1"])
    func `lets nothing start, takes submissions, and starts them when it goes on`(text: String) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let target = try InterruptTarget(text)
            let running = try await scene.running("a", groups: ["g"], on: worker)
            let before = try await scene.submit("b", groups: ["g"])
            let pause = try await scene.client.ask(PauseRequest(.pause, triggeredBy: "ann"), of: target)
            #expect(pause.hasGateChanged && pause.members.map(\.run) == [running])
            #expect(try await !scene.client.ask(PauseRequest(.pause), of: target).hasGateChanged)
            let after = try await scene.submit("c", groups: ["g"])
            for offer in try await worker.offers() {
                let reply = try await worker.start(offer)
                #expect(reply.array?.map(\.text) == ["held", text])
            }
            for run in [before, after] { #expect(try await scene.state(run) == .queued) }
            #expect(try await scene.command("XLEN", "interrupt/queue/default").integer == 2, "they are offered again")
            let resume = try await scene.client.ask(PauseRequest(.resume, triggeredBy: "bob"), of: target)
            #expect(resume.hasGateChanged && resume.members.map(\.outcome) == [.withdrawn])
            #expect(Set(try await worker.startAll()) == [before, after])
            #expect(try await !scene.client.ask(PauseRequest(.resume), of: target).hasGateChanged)
            let gates = try await scene.client.history(limit: 100) { $0.fields["kind"] == "pause" }
            #expect(
                gates.map { "\($0.event) \($0.fields["triggered_by"] ?? "")" } == [
                    "gate_closed ann", "gate_opened bob",
                ]
            )
        }
    }

    @Test func `does not hold what is elsewhere, and another worker may start what one may not`() async throws {
        try await withScene { scene in
            let first = try await ScriptWorker(scene)
            let second = try await ScriptWorker(scene, "w2", instance: "i2")
            for target in ["group:other", "queue:other", "worker:w1"] {
                _ = try await scene.client.ask(PauseRequest(.pause), of: try InterruptTarget(target))
            }
            let run = try await scene.submit("a", groups: ["g"])
            #expect(try await first.startAll() == [])
            #expect(try await second.startAll() == [run])
        }
    }

    @Test func `still lets what is queued be interrupted, and resuming opens the gate of a drain too`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let queue = try InterruptTarget("queue:default")
            _ = try await scene.client.ask(PauseRequest(.pause), of: queue)
            let run = try await scene.submit("a")
            #expect(try await scene.interrupt(run, InterruptSignal()).outcome == .stopped)
            _ = try await scene.client.interrupt(queue, InterruptSignal(stage: .drain))
            #expect(try await scene.client.ask(PauseRequest(.resume), of: queue).hasGateChanged)
            let next = try await scene.submit("b")
            #expect(try await worker.startAll() == [next])
        }
    }

    @Test func `is not asked about exactly those that nobody has confirmed`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let first = try await scene.running("a", on: worker)
            let second = try await scene.running("b", on: worker)
            let pause = try await scene.client.ask(PauseRequest(.pause), of: .all, only: [second])
            #expect(pause.members.map(\.run) == [second])
            #expect(try await !scene.exists("interrupt/pause/\(first)"))
        }
    }
}
