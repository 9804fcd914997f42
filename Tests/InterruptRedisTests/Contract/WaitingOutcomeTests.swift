import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `What a worker writes again` {
    private func receipt(_ signal: InterruptSignal, _ way: DeliveryWay = .local) -> WaitingOutcome.Receipt {
        WaitingOutcome.Receipt(signal: signal, way: way)
    }

    @Test func `is on record once: no second event, no second line`() async throws {
        try await withScene { scene in
            let worker = try await ScriptWorker(scene)
            let run = try await scene.running("j", on: worker)
            let heard = try await Heard(scene, [scene.keys.events])
            let asked = InterruptSignal(stage: .drain, message: "first")
            _ = try await scene.interrupt(run, asked)
            let known = try await heard.all().count
            // One that somebody has recorded, one that arose here, one that comes late, one that is harder.
            let signals = [
                asked, InterruptSignal(reason: .timeout, source: .timeout), InterruptSignal(stage: .drain),
                InterruptSignal(stage: .kill),
            ]
            for (index, signal) in signals.enumerated() {
                #expect(try await worker.acknowledge(signal, run, way: .local) == "OK")
                let (record, events) = (try await scene.dump(), try await heard.all().count)
                #expect(events > known || index == 0)
                for earlier in signals[...index] + signals[...index].reversed() {
                    #expect(try await worker.acknowledge(earlier, run, way: .push) == "OK")
                }
                #expect(try await scene.dump() == record, "receipt \(index)")
                #expect(try await heard.all().count == events, "receipt \(index)")
            }
            let lines = ["submitted", "started", "requested", "acknowledged", "escalated", "acknowledged"]
            #expect(try await scene.events(of: run) == lines + ["late", "escalated", "acknowledged"])
            _ = try await worker.end(run, "interrupted")
            let (record, events) = (try await scene.dump(), try await heard.all().count)
            for signal in signals { #expect(try await worker.acknowledge(signal, run) == "ended") }
            #expect(try await worker.end(run, "interrupted") == "OK")
            #expect(try await scene.dump() == record)
            #expect(try await heard.all().count == events)
        }
    }

    @Test func `of how a run goes on is on record once, too`() async throws {
        try await withWatching { watching in
            let (order, _) = try await watching.start("j")
            let (run, transport) = (order.run, watching.transport)
            let heard = try await Heard(watching.scene, [watching.scene.keys.events])
            let holdout = Holdout(survivors: "7", section: "s", lastCheckpoint: "c", elapsed: .milliseconds(1_234))
            let writes: [() async throws -> Void] = [
                { try await transport.spawned(run, process: ProcessIdentity(boot: "b", pid: 7, start: 7)) },
                { try await transport.publish(.checkpoint("page 1"), of: run) },
                { try await transport.publish(.moreTime(.seconds(3)), of: run) },
                { try await transport.publish(try WorkProgress(0.25, "m"), of: run) },
                { try await transport.publish(holdout, of: run) },
                {
                    _ = try await watching.scene.ask(.pause, run)
                    try await transport.record(isPaused: true, of: run)
                },
                {
                    _ = try await watching.scene.ask(.resume, run)
                    try await transport.record(isPaused: false, of: run)
                },
            ]
            for (index, write) in writes.enumerated() {
                try await write()
                let (record, events) = (try await watching.scene.dump(), try await heard.all().count)
                #expect(events == max(0, index))
                if index < 5 { try await write() } else { try await transport.record(isPaused: index == 5, of: run) }
                #expect(try await watching.scene.dump() == record, "write \(index)")
                #expect(try await heard.all().count == events, "write \(index)")
            }
            // What is said anew is no repetition.
            try await transport.publish(.checkpoint("page 2"), of: run)
            let later = Holdout(survivors: "7", section: "s", lastCheckpoint: "c", elapsed: .milliseconds(1_235))
            try await transport.publish(later, of: run)
            #expect(try await heard.all().count == writes.count + 1)
        }
    }

    @Test func `for an earlier instance counts as its own word, once`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            let old = ScriptWorker(try await ScriptWorker(scene, "w1", instance: "i1"), instance: "i1")
            let run = try await scene.running("j", on: old)
            let other = try await scene.running("k", on: old)
            for run in [run, other] { try await scene.command("HSET", "interrupt/run/\(run)", "instance", "i0") }
            await #expect(throws: TransportError.replaced) {
                try await watching.transport.end(run, as: RunEnding(state: .completed))
            }
            let signal = InterruptSignal(reason: .timeout, source: .timeout)
            let ending = RunEnding(state: .interrupted, termSignal: 15, output: RunOutput(byteCount: 5, lastLine: "x"))
            let outcome = WaitingOutcome(run: run, instance: "i0", receipts: [receipt(signal)], ending: ending)
            #expect(try await watching.transport.record(outcome))
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.state == .interrupted && record.termSignal == 15 && record.lastOutput == "x")
            #expect(record.reason == .timeout && record.way == .local && record.confirmedAt != nil)
            #expect(
                try await scene.events(of: run) == ["submitted", "started", "requested", "acknowledged", "ended"]
            )
            let dump = try await scene.dump()
            #expect(try await watching.transport.record(outcome))
            // Nobody else's word counts, and a run that has ended stays as it is.
            let strange = WaitingOutcome(run: other, instance: "i9", receipts: [receipt(signal)], ending: ending)
            #expect(try await watching.transport.record(strange))
            let completed = RunEnding(state: .completed, exitCode: 0)
            #expect(try await watching.transport.record(WaitingOutcome(run: run, instance: "i0", ending: completed)))
            #expect(try await scene.dump() == dump)
        }
    }

    @Test func `for an earlier instance says that the run was started, where that is forgotten`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            let run = try await scene.submit("j")
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            let signal = InterruptSignal(reason: .timeout, source: .timeout)
            let ending = RunEnding(state: .interrupted, termSignal: 15)
            // Whether it has ended, its receipts do not say.
            let receipts = WaitingOutcome(run: run, instance: "i0", receipts: [receipt(signal)])
            #expect(try await watching.transport.record(receipts))
            #expect(try await scene.client.record(of: run)?.state == .queued)
            let outcome = WaitingOutcome(run: run, instance: "i0", receipts: [receipt(signal)], ending: ending)
            #expect(try await watching.transport.record(outcome))
            let record = try #require(try await scene.client.record(of: run))
            #expect(record.state == .interrupted && record.termSignal == 15 && record.reason == .timeout)
            let result = try await watching.transport.start(offer, gracePeriod: .seconds(10))
            if case .started = result { Issue.record("it runs twice") }
            #expect(try await scene.command("XLEN", "interrupt/queue/default").integer == 0)
        }
    }

    @Test func `late has happened when it did, and never before what came before it`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            for (ago, isPossible) in [(1_500, true), (3_600_000, false), (-3_600_000, false)] as [(Int64, Bool)] {
                let (order, _) = try await watching.start("job-\(ago)")
                let started = "\(try await scene.client.serverTime().milliseconds - 2_000)"
                try await scene.command("HSET", "interrupt/run/\(order.run)", "started_at_ms", started)
                let asked = Timestamp.now
                let then = Timestamp(milliseconds: asked.milliseconds - ago)
                let signal = InterruptSignal(reason: .timeout, source: .timeout)
                let receipt = WaitingOutcome.Receipt(signal: signal, way: .local, takenAt: then)
                let outcome = WaitingOutcome(
                    run: order.run,
                    instance: "i1",
                    receipts: [receipt],
                    ending: RunEnding(state: .interrupted, termSignal: 15),
                    endedAt: then
                )
                #expect(try await watching.transport.record(outcome))
                let now = try await scene.client.serverTime().milliseconds
                // Instants are cut off to whole milliseconds, which makes up to 2.
                let took = (Timestamp.now - asked).milliseconds + 2
                let record = try #require(try await scene.client.record(of: order.run))
                let instants = [
                    record.startedAt, record.requestedAt, record.acknowledgedAt, record.confirmedAt, record.endedAt,
                ].map { $0?.milliseconds ?? 0 }
                #expect(instants == instants.sorted() && instants.allSatisfy { $0 <= now }, "\(ago): \(instants)")
                let late = now - instants[4]
                let isRight =
                    isPossible ? (1_500...1_500 + took).contains(late) : ago > 0 ? late >= 2_000 : late <= took
                #expect(isRight, "\(ago): \(late) after \(took)")
                let lines = try await scene.client.history(limit: 100) { $0.fields["run"] == order.run.rawValue }
                #expect(lines.last?.fields["at_ms"] == "\(instants[4])")
                #expect(lines.allSatisfy { Int($0.fields["latency_ms"] ?? "0") ?? -1 >= 0 })
            }
        }
    }

    @Test func `of a run that is not on record leaves no trace`() async throws {
        try await withWatching { watching in
            let (order, _) = try await watching.start("j")
            try await watching.scene.command("FLUSHALL")
            let ending = RunEnding(state: .completed, exitCode: 0)
            let outcome = WaitingOutcome(
                run: order.run,
                instance: "i1",
                receipts: [receipt(InterruptSignal())],
                ending: ending
            )
            #expect(try await !watching.transport.record(outcome))
            try await watching.transport.acknowledge(InterruptSignal(), way: .local, for: order.run)
            try await watching.transport.publish(.checkpoint("x"), of: order.run)
            try await watching.transport.publish(Holdout(section: "s", elapsed: .zero), of: order.run)
            try await watching.transport.publish(try WorkProgress(0.5), of: order.run)
            try await watching.transport.record(isPaused: true, of: order.run)
            try await watching.transport.end(order.run, as: ending)
            try await watching.transport.lose(order.run, why: "gone")
            #expect(try await watching.scene.dump().isEmpty)
        }
    }

    @Test func `is refused by nobody for good while the server is full or reads only`() async throws {
        try await withWatching { watching in
            let (order, _) = try await watching.start("j")
            try await watching.scene.command("CONFIG", "SET", "maxmemory", "1")
            let ending = RunEnding(state: .completed, exitCode: 0)
            let outcome = WaitingOutcome(run: order.run, instance: "i1", ending: ending)
            for write in [
                { () async throws in try await watching.transport.end(order.run, as: ending) },
                { () async throws in _ = try await watching.transport.record(outcome) },
            ] {
                let error = await #expect(throws: TransportError.self) { try await write() }
                guard case .unavailable? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
            }
            try await watching.scene.command("CONFIG", "SET", "maxmemory", "0")
            #expect(try await watching.transport.record(outcome))
            #expect(try await watching.scene.state(order.run) == .completed)
        }
    }
}
