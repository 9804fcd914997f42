import FoundationEssentials
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A run of a handler` {
    /// Submits one with an input of spaces, quotes and a NUL, and lets the worker start it.
    private func running(_ scene: Scene, on worker: ScriptWorker) async throws -> RunID {
        let submission = Submission(
            job: try Name("j"),
            queue: try Name("default"),
            handler: try Name("resize"),
            input: "{\"a\": \"ä\"}\n\0"
        )
        _ = try await scene.client.submit(submission)
        try await worker.startAll()
        return submission.run
    }

    private func progress(_ scene: Scene, _ run: RunID, _ part: Double, _ message: String = "") async throws -> String?
    {
        let progress = try WorkProgress(part, message)
        let arguments: [RedisArgument] = [.init(run.rawValue), "i1", .init(progress.wireText), .init(message)]
        return try await scene.client.evaluate(RedisScripts.progress, arguments).text
    }

    @Test func `carries name and input in place of a command, in its record, its order and the history`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await running(scene, on: worker)
            let record = try #require(try await scene.client.record(of: run))
            let work = RunOrder.Work.handler(try Name("resize"), input: "{\"a\": \"ä\"}\n\0")
            #expect(record.order(environment: nil)?.work == work)
            #expect(record.workText.hasPrefix("handler resize {\"a\""))
            #expect(record.json.line.contains(#""handler":"resize""#))
            #expect(record.json.line.contains(#""input":"{\"a\": \"ä\"}\n\u0000""#))
            #expect(!record.json.line.contains("command"))
            _ = try await worker.end(run)
            let entries = try await scene.client.history(limit: 100) { $0.fields["handler"] == "resize" }
            #expect(entries.map(\.event) == ["submitted", "ended"])
        }
    }

    @Test func `is not submitted with an input that is too long`() async throws {
        try await withScene { scene in
            func submit(_ size: Int) async throws {
                let input = String(repeating: "x", count: size)
                let (name, queue) = (try Name("j"), try Name("default"))
                _ = try await scene.client.submit(Submission(job: name, queue: queue, handler: name, input: input))
            }
            await #expect(throws: RedisError.self) { try await submit(RunOrder.Work.maximumInputSize + 1) }
            #expect(try await !scene.exists("interrupt/job/j"))
            try await submit(RunOrder.Work.maximumInputSize)
        }
    }

    @Test func `of an earlier instance is known to have run in its process`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let inside = try await running(scene, on: worker)
            let outside = try await scene.running("other", on: worker)
            for run in [inside, outside] {
                _ = try await worker.script(RedisScripts.spawned, [.init(run.rawValue), "i1", "7", "9", "b"])
            }
            let reply = try await scene.client.evaluate(RedisScripts.enter, ["w1", "i2", "i1"])
            let left = (reply.array?.last?.array ?? []).compactMap(LeftRun.init)
            let process = ProcessIdentity(boot: "b", pid: 7, start: 9)
            let expected = [
                LeftRun(run: inside, process: process, isInProcess: true), LeftRun(run: outside, process: process),
            ]
            #expect(Set(left) == Set(expected))
        }
    }

    @Test func `has the progress that was told last, and the instant at which it first was this far`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await running(scene, on: worker)
            #expect(try await scene.client.record(of: run)?.progress == nil)
            #expect(try await progress(scene, run, 0.25, "a") == "OK")
            let first = try #require(try await scene.client.record(of: run))
            #expect(first.progress == (try WorkProgress(0.25, "a")))
            try await scene.until {
                try await scene.client.serverTime().milliseconds > first.progressAt?.milliseconds ?? 0
            }
            #expect(try await progress(scene, run, 0.25, "b") == "OK")
            let second = try #require(try await scene.client.record(of: run))
            #expect(second.progress?.message == "b" && second.progressAt == first.progressAt)
            #expect(try await progress(scene, run, 1.0 / 3) == "OK")
            let third = try #require(try await scene.client.record(of: run))
            #expect(third.json.line.contains(#""progress":0.3333,"#))
            #expect(try #require(third.progressAt).milliseconds > first.progressAt?.milliseconds ?? .max)
        }
    }

    @Test func `tells nothing when it has ended, or is another instance's`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await running(scene, on: worker)
            let other: [RedisArgument] = [.init(run.rawValue), "i2", "0.5", ""]
            #expect(try await scene.client.evaluate(RedisScripts.progress, other).text == "replaced")
            let holdout: [RedisArgument] = [.init(run.rawValue), "i2", "", "", "0"]
            #expect(try await scene.client.evaluate(RedisScripts.holdout, holdout).text == "replaced")
            _ = try await worker.end(run)
            #expect(try await progress(scene, run, 0.5) == "ended")
            #expect(try await scene.client.record(of: run)?.progress == nil)
        }
    }

    @Test func `has watchers hear of its progress and of why it holds out`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await running(scene, on: worker)
            _ = try await worker.acknowledge(InterruptSignal(), run)
            let heard = try await Heard(scene, [scene.keys.events])
            _ = try await progress(scene, run, 0.25, "a")
            let holdout: [RedisArgument] = [.init(run.rawValue), "i1", "load", "", "1500"]
            #expect(try await scene.client.evaluate(RedisScripts.holdout, holdout).text == "OK")
            let events = try await heard.all().map { push in
                try JSONDecoder().decode([String: JSONValue].self, from: Data(push.payload.bytes ?? []))
            }
            #expect(events.map { $0["event"] } == [.string("progress"), .string("holdout")])
            #expect(events[0]["progress"] == .number(0.25) && events[0]["progress_message"] == .string("a"))
            #expect(events[1]["section"] == .string("load") && events[1]["elapsed_ms"] == .integer(1_500))
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.isHoldingOut)
            let held = try #require(record.holdout(at: try await scene.client.serverTime()))
            #expect(held.section == "load" && held.lastCheckpoint == nil && held.elapsed >= .milliseconds(1_500))
            let entry = try await scene.client.history(limit: 100) { $0.event == "holdout" }.first
            #expect(entry?.fields["elapsed_ms"] == "1500")
        }
    }
}

@Suite struct `Progress on the wire` {
    @Test(
        arguments: [
            (0, "0.0000"), (1, "1.0000"), (0.4, "0.4000"), (0.29, "0.2900"), (0.57, "0.5700"), (0.999_99, "0.9999"),
            (0.000_1, "0.0001"),
        ] as [(Double, String)]
    )
    func `has four digits, rounded down`(fraction: Double, text: String) throws {
        #expect(try WorkProgress(fraction).wireText == text)
    }

    @Test(arguments: ["nan", "2", "-1", "x", "", "inf"])
    func `that is none is not shown`(text: String) throws {
        let fields = ["run": "r", "job": "j", "progress": text, "progress_message": "m"]
        let record = RunRecord(
            reply: .array(fields.flatMap { [.bulk(Array($0.key.utf8)), .bulk(Array($0.value.utf8))] })
        )
        #expect(record?.progress == nil)
        #expect(record?.json.line.contains("progress") == false)
    }
}
