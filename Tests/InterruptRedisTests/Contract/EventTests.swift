import FoundationEssentials
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `Those who watch the events` {
    private struct Event: Decodable {
        var event: String
        var run: String
        var stage: Int?
    }

    /// What a subscriber of its own hears about a run while `body` runs: `event stage`.
    private func heard(of run: RunID, in scene: Scene, _ body: () async throws -> Void) async throws -> [String] {
        let heard = try await Heard(scene, [scene.keys.events])
        try await body()
        return try await heard.all()
            .map { try JSONDecoder().decode(Event.self, from: Data($0.payload.bytes ?? [])) }
            .filter { $0.run == run.rawValue }
            .map { event in event.event + (event.stage.map { " \($0)" } ?? "") }
    }

    @Test func `hear of a request once, and of its escalation once, however often it is repeated`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let first = InterruptSignal()
            let events = try await heard(of: run, in: scene) {
                _ = try await scene.interrupt(run, first)
                for _ in 0..<50 { #expect(try await scene.interrupt(run, InterruptSignal()).outcome == .already) }
                _ = try await scene.interrupt(run, InterruptSignal(stage: .kill))
                for _ in 0..<50 { #expect(try await scene.interrupt(run, InterruptSignal()).outcome == .already) }
                #expect(try await scene.interrupt(run, first).outcome == .known)
            }
            #expect(events == ["requested 2", "escalated 3"])
        }
    }

    @Test func `hear of the interrupt of a queued run before its end`() async throws {
        try await withScene { scene in
            let run = try await scene.submit("j")
            let events = try await heard(of: run, in: scene) { _ = try await scene.interrupt(run, InterruptSignal()) }
            #expect(events == ["requested 2", "ended"])
        }
    }

    @Test func `hear of the gate that a queued run meets`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.submit("j", queue: "default")
            let closing = InterruptSignal(stage: .drain).arguments + ["queue:default", "open"]
            _ = try await scene.client.evaluate(RedisScripts.closeGate, closing)
            let events = try await heard(of: run, in: scene) { _ = try await worker.startAll() }
            #expect(events == ["requested 1", "ended"])
        }
    }

    @Test func `hear of an interrupt that arose in the worker, before its receipt`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let events = try await heard(of: run, in: scene) {
                let signal = InterruptSignal(reason: .timeout, source: .timeout)
                _ = try await worker.acknowledge(signal, run, way: .local)
                _ = try await worker.acknowledge(signal, run, way: .local)
            }
            #expect(events == ["requested 2", "acknowledged 2"])
        }
    }

    @Test func `hear of a flag when it is taken in, and not of a mirror`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let job = try Name("j")
            let events = try await heard(of: run, in: scene) {
                for (value, stage) in [("1", InterruptStage.terminate), (#"{"stage":3}"#, .kill), ("true", .drain)] {
                    try await scene.command("SET", "interrupt:j", value)
                    let signal = InterruptSignal(stage: stage, source: .flag)
                    _ = try await scene.client.importFlag(
                        [signal],
                        run: run,
                        job: job,
                        value: Array(value.utf8)
                    )
                }
            }
            #expect(events == ["requested 2", "escalated 3"])
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A flag of a job` {
    @Test func `is read anew when it has another value by the time that it is taken into the record`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            func isGone(_ value: String) async throws -> Bool {
                let signal = InterruptSignal(source: .flag)
                let job = try Name("j")
                return try await scene.client.importFlag([signal], run: run, job: job, value: Array(value.utf8)).isGone
            }
            #expect(try await isGone("1"), "it was lowered")
            try await scene.command("SET", "interrupt:j", "true")
            #expect(try await isGone("1"), "it is another one")
            #expect(try await isGone("true"), "it is on record")
            #expect(try await scene.command("EXISTS", "interrupt:j").integer == 0)
        }
    }
}
