import FoundationEssentials
import InterruptCore
import InterruptJSON
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `The mirror of a record` {
    @Test func `says its version and its run`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            _ = try await scene.interrupt(run, InterruptSignal(message: "stop"))
            let mirror = try SignalMessage(json: try await scene.command("GET", "interrupt:j").bytes ?? [])
            #expect(mirror.v == 1 && mirror.run == run.rawValue && mirror.message == "stop")
        }
    }

    @Test func `goes with its run without a word, a flag of others does not`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            for (flag, isSaid) in [(String?.none, false), ("1", true), (#"{"v":1,"run":"other"}"#, true)] {
                let run = try await scene.running("j", on: worker)
                _ = try await scene.interrupt(run, InterruptSignal())
                if let flag { try await scene.command("SET", "interrupt:j", flag) }
                _ = try await worker.end(run, "interrupted")
                #expect(try await !scene.exists("interrupt:j"))
                #expect(try await scene.events(of: run).contains("flag_dropped") == isSaid, "\(flag ?? "mirror")")
            }
        }
    }

    @Test func `of another run is no interrupt for this one`() async throws {
        try await withWatching(pollInterval: .milliseconds(30)) { watching in
            let other = #"{"v":1,"run":"other","stage":3}"#
            try await watching.scene.submit("early")
            try await watching.scene.command("SET", "interrupt:early", other)
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            guard case .started(_, let pending) = try await watching.transport.start(offer, gracePeriod: .seconds(10))
            else {
                Issue.record("not started")
                return
            }
            #expect(pending.isEmpty)
            let (run, deliveries) = try await watching.run("j")
            try await watching.scene.command("SET", "interrupt:j", other)
            let polls = try await watching.scene.polls()
            try await watching.scene.until { try await watching.scene.polls() > polls + 5 }
            #expect(deliveries.all.isEmpty)
            #expect(try await watching.scene.client.request(for: run) == nil)
            try await watching.scene.command("SET", "interrupt:j", #"{"v":1,"run":"\#(run)"}"#)
            #expect(await deliveries.first()?.signal.stage == .terminate)
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `The history as JSON` {
    @Test func `says who, when, why, at which stage, how it ended and how fast`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let signal = InterruptSignal(reason: .priorityOverride, message: "make room", triggeredBy: "ops")
            _ = try await scene.interrupt(run, signal)
            _ = try await worker.acknowledge(signal, run)
            _ = try await worker.end(run, "interrupted", exitCode: "")
            var entries: [String: [String: JSONValue]] = [:]
            for entry in try await scene.client.history(limit: 100) {
                guard case .object(let members) = entry.json else { continue }
                entries[entry.event] = members
            }
            for event in ["requested", "acknowledged", "ended"] {
                let members = try #require(entries[event])
                #expect(members["job"] == .string("j") && members["run"] == .string(run.rawValue))
                #expect(members["reason"] == .string("priority_override") && members["stage"] == .integer(2))
                guard case .string(let instant)? = members["at"] else { Issue.record("no instant"); continue }
                #expect(instant.hasSuffix("Z"))
            }
            for event in ["requested", "ended"] {
                #expect(entries[event]?["triggered_by"] == .string("ops"))
                #expect(entries[event]?["message"] == .string("make room"))
            }
            #expect(entries["acknowledged"]?["via"] == .string("push"))
            #expect(entries["ended"]?["state"] == .string("interrupted"))
            for event in ["acknowledged", "ended"] {
                guard case .integer(let latency)? = entries[event]?["latency_ms"] else {
                    Issue.record("no latency")
                    continue
                }
                #expect((0...60_000).contains(latency))
            }
        }
    }

    @Test func `has truth values where a record has them`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            _ = try await scene.interrupt(run, InterruptSignal())
            _ = try await worker.end(run)
            let entry = try #require(try await scene.client.history(limit: 1).first)
            guard case .object(let members) = entry.json else { return }
            #expect(members["late_interrupt"] == .bool(true))
        }
    }
}
