import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `What a run tells of itself` {
    private func tell(_ scene: Scene, _ run: RunID, _ kind: String, _ value: String, from instance: String = "i1")
        async throws -> String?
    {
        let arguments: [RedisArgument] = [.init(run.rawValue), .init(instance), .init(kind), .init(value)]
        return try await scene.client.evaluate(RedisScripts.note, arguments).text
    }

    @Test func `is on record and in the history, the newest of each kind`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            #expect(try await tell(scene, run, "checkpoint", "page 1") == "OK")
            #expect(try await tell(scene, run, "more_time", "1500") == "OK")
            #expect(try await tell(scene, run, "checkpoint", "page \u{1B}2") == "OK")
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.checkpoint == "page \u{1B}2" && record.moreTime == .milliseconds(1_500))
            #expect(record.json.line.contains(#""checkpoint":"page \u001b2""#))
            #expect(record.json.line.contains(#""more_time_ms":1500"#))
            let events = ["checkpoint", "more_time"]
            let entries = try await scene.client.history(limit: 100) { events.contains($0.event) }
            #expect(entries.map(\.event).sorted() == ["checkpoint", "checkpoint", "more_time"])
        }
    }

    @Test func `is taken from its worker only, and not after its end`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            #expect(try await tell(scene, run, "checkpoint", "x", from: "i2") == "replaced")
            _ = try await worker.end(run)
            #expect(try await tell(scene, run, "checkpoint", "x") == "ended")
            #expect(try await scene.client.record(of: run)?.checkpoint == nil)
        }
    }
}
