import InterruptCore
import InterruptJSON
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `What no program of ours would send or write` {
    /// Nothing at all is written when a script refuses.
    private func refused(_ scene: Scene, _ script: RedisScript, _ arguments: [RedisArgument]) async throws {
        let before = try await scene.dump()
        await #expect(throws: RedisError.self) { try await scene.client.evaluate(script, arguments) }
        #expect(try await scene.dump() == before, "\(script.name)")
    }

    private func signal(
        id: RedisArgument = "q1",
        message: [UInt8] = [],
        grace: RedisArgument = ""
    ) -> [RedisArgument] {
        [id, "j", "2", "timeout", .init(message), "ops", "1", grace, "remote"]
    }

    @Test func `is refused before anything is written`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = RedisArgument(try await scene.running("j", on: worker).rawValue)
            let submission: [RedisArgument] = [
                "k", "kkkkkkkkkkkkkkkkkkkk", "default", "", "ops", "true", "/", "", "", "", "",
            ]
            for count: [RedisArgument] in [[], [""], ["nan"], ["1.5"], ["-1"], ["7", "a", "b"], ["0", "a"]] {
                try await refused(scene, RedisScripts.submit, submission + count)
            }
            try await refused(scene, RedisScripts.hold, ["pause", "queue:default", "q2"])
            for lifetime: RedisArgument in ["..", "-1", "1e9", ""] {
                try await refused(scene, RedisScripts.closeGate, signal() + ["queue:default", lifetime])
            }
            for id: RedisArgument in ["", .init(String(repeating: "x", count: 129))] {
                try await refused(scene, RedisScripts.interrupt, signal(id: id) + ["", "run", run])
            }
            for retention: RedisArgument in ["", "0", "-1", "1.5", "inf"] {
                let end: [RedisArgument] = [run, "i1", "completed", "0", "", "", "", "", retention]
                try await refused(scene, RedisScripts.end, end)
                try await refused(scene, RedisScripts.lose, [run, "i1", "gone", retention])
            }
            try await refused(scene, RedisScripts.holdout, [run, "i1", "s", "c", "inf"])
        }
    }

    @Test func `makes no record that a worker cannot read`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for (message, grace) in [
                ([0xFF, 0x61], "1500.7"), (Array("größe 😀".utf8), "1e99"), ([0xED, 0xA0, 0x80], "inf"),
            ] {
                let run = try await scene.running("j", on: worker)
                let arguments = signal(message: message, grace: .init(grace))
                _ = try await scene.client.evaluate(
                    RedisScripts.interrupt,
                    arguments + ["", "run", .init(run.rawValue)]
                )
                let request = try #require(try await scene.client.request(for: run))
                #expect(request.stage == .terminate && request.gracePeriod ?? .zero >= .milliseconds(1_500))
                #expect(request.message?.hasPrefix("?") ?? false || request.message == "größe 😀")
                #expect(try await worker.end(run) == "OK")
            }
        }
    }

    @Test func `in keys that others may write keeps a run neither from an interrupt nor from its end`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for command in ["RPUSH", "SADD", "XADD"] {
                func spoil(_ key: String) async throws {
                    try await scene.connection.send(RedisCommand("DEL", .init(key)))
                    let words: [RedisArgument] = command == "XADD" ? ["*", "a", "b"] : ["a"]
                    try await scene.connection.send(RedisCommand(command, [.init(key)] + words))
                }
                let ended = try await scene.running("j", on: worker)
                try await spoil(scene.keys.request(ended))
                #expect(try await worker.end(ended) == "OK")
                let run = try await scene.running("j", on: worker)
                try await spoil(scene.keys.request(run))
                if command != "XADD" { try await spoil(scene.keys.history) }
                #expect(try await scene.interrupt(run, InterruptSignal(reason: .timeout)).outcome == .accepted)
                #expect(try await scene.client.request(for: run)?.reason == .timeout)
                #expect(try await scene.events(of: run).contains("requested"))
                #expect(try await worker.end(run) == "OK")
            }
        }
    }

    @Test func `makes no record that a worker cannot read, whatever the run's own record calls its job`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            try await scene.connection.send(
                RedisCommand("HSET", [.init(scene.keys.run(run)), "job", RedisArgument([0x6A, 0xFF, 0x00])])
            )
            #expect(try await scene.interrupt(run, InterruptSignal(reason: .timeout)).outcome == .accepted)
            #expect(try await scene.client.request(for: run)?.reason == .timeout)
        }
    }

    @Test(arguments: [
        #"{"stage":99,"request_id":"x","reason":"t","triggered_at_ms":1}"#,
        #"{"stage":2.5,"request_id":"x","reason":"t","triggered_at_ms":1}"#,
        #"{"stage":3,"request_id":"x","reason":"t","triggered_at_ms":1e300}"#,
        #"{"stage":3,"request_id":"","reason":"t","triggered_at_ms":1}"#,
        #"{"stage":3,"request_id":"x","reason":"t","triggered_at_ms":1,"grace_ms":-1}"#,
        #"{"stage":3,"request_id":"x","reason":"t","triggered_at_ms":1,"v":7}"#,
        #"{"stage":3,"request_id":"x","reason":"t","triggered_at_ms":1,"save_checkpoint":"yes"}"#,
        #"{"stage":3,"request_id":"x","reason":"t","triggered_at_ms":1,"more":inf}"#,
        "[[[1]]]",
    ])
    func `does not keep a request from the record that comes after it`(record: String) async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            try await scene.command("SET", "interrupt/request/\(run)", record)
            #expect(try await scene.interrupt(run, InterruptSignal(reason: .timeout)).outcome == .accepted)
            #expect(try await scene.client.request(for: run)?.reason == .timeout)
        }
    }

    @Test func `does not take a run out of its queue and leave it unfinished`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.submit("j", groups: ["g"])
            try await scene.command("HSET", "interrupt/gate/group:g", "stage", "9", "at_ms", "soon", "request_id", "")
            #expect(try await worker.startAll() == [])
            #expect(try await scene.state(run) == .interrupted)
            #expect(try await scene.exists("interrupt/group/g") == false)
            #expect(try await scene.client.request(for: run)?.stage == .kill)
        }
    }

    @Test func `is shown without what could steer a terminal`() async throws {
        try await withScene { scene in
            try await scene.command("HSET", "interrupt/meta", "v", "9\u{1B}[2J")
            try await scene.command("HSET", "interrupt/run/x", "job", "a\u{1B}[2J")
            var submission = try scene.submission("j")
            submission.run = RunID(rawValue: "x")
            let error = await #expect(throws: RedisError.self) { try await scene.client.submit(submission) }
            #expect(error?.message.utf8.contains(0x1B) == false)
        }
    }
}
