import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
struct `A request that Redis has lost before its receipt` {
    enum Loss: CaseIterable { case deleted, restored }

    @Test(arguments: Loss.allCases)
    func `is asserted again by who waits for it, and the run is stopped`(loss: Loss) async throws {
        try await withFleet(redis: ["--appendonly", "no"]) { fleet in
            try await fleet.worker("w1") { pid in
                _ = try await fleet.control("submit", "--id", "nightly", "--", "sleep", "300")
                let run = try await fleet.wait(for: "nightly", .running).run.rawValue
                // A worker that hears nothing: stopped, and what is published meanwhile has nobody to go to.
                try await stop(pid)
                defer { kill(pid, SIGCONT) }
                try await fleet.redis.command("SAVE")
                try await fleet.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                async let cancelled = fleet.control("cancel", "nightly", "--wait", "60s", "--request-id", "q1")
                let key = "interrupt/request/\(run)"
                try await eventually("the request is recorded") {
                    try await fleet.redis.command("EXISTS", key).integer == 1
                }
                switch loss {
                case .deleted: try await fleet.redis.command("DEL", key, "interrupt:nightly", "interrupt/history")
                // As it was before the request, like a replica that had not got it.
                case .restored: try await fleet.redis.restart()
                }
                try await eventually("the request is recorded again") {
                    try await fleet.redis.command("EXISTS", key).integer == 1
                }
                kill(pid, SIGCONT)
                let cancel = try await cancelled
                #expect(cancel.exitCode == 0, "\(cancel)")
                let lines = cancel.text.split(separator: "\n")
                #expect(lines.first == "⏹ Interrupt signal sent... (stage 2 terminate, request q1)")
                #expect(lines.dropFirst().first == "Redis had lost the request; it is on record again", "\(cancel)")
                let record = try await fleet.wait(for: "nightly", .interrupted)
                #expect(record.run.rawValue == run)
                let events = try await fleet.client.history(limit: 1_000) { $0.fields["run"] == run }.map(\.event)
                for event in ["requested", "acknowledged", "ended"] { #expect(events.count { $0 == event } == 1) }
                #expect(processes(with: "INTERRUPT_RUN=\(run)").isEmpty)
            }
        }
    }

    @Test
    func `does not reach a run that was started since`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { pid in
                _ = try await fleet.control("submit", "--id", "nightly", "--", "sleep", "300")
                let first = try await fleet.wait(for: "nightly", .running).run
                let signal = InterruptSignal(id: RequestID(rawValue: "q1"))
                let client = try await fleet.client
                _ = try await client.interrupt([.run(first)], signal)
                try await fleet.wait(for: "nightly", .interrupted)
                _ = try await fleet.control("submit", "--id", "nightly", "--", "sleep", "300")
                let second = try await fleet.wait(for: "nightly", .running).run
                // Also when the record of the first one is as it was before.
                try await fleet.redis.command("DEL", "interrupt/request/\(first)")
                for _ in 0..<10 { _ = try await client.interrupt([.run(first)], signal) }
                let again = try await fleet.control("cancel", "nightly", "--run", first.rawValue, "--request-id", "q1")
                #expect(again.exitCode == 4, "\(again)")
                #expect(try await client.record(of: second)?.state == .running)
                #expect(try await client.request(for: second) == nil)
            }
        }
    }

    @Test
    func `closes its gate again when the connection was lost with it`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { pid in
                _ = try await fleet.control("submit", "--id", "nightly", "--", "sleep", "300")
                try await fleet.wait(for: "nightly", .running)
                try await stop(pid)
                defer { kill(pid, SIGCONT) }
                async let drained = fleet.control("drain", "queue:default", "--yes", "--wait", "60s")
                let gate = "interrupt/gate/queue:default"
                try await eventually("the gate is closed") {
                    try await fleet.redis.command("EXISTS", gate).integer == 1
                }
                try await fleet.redis.command("DEL", gate, "interrupt/history")
                try await fleet.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                try await eventually("the gate is closed again") {
                    try await fleet.redis.command("EXISTS", gate).integer == 1
                }
                kill(pid, SIGCONT)
                let drain = try await drained
                #expect(drain.exitCode == 0, "\(drain)")
                #expect(try await fleet.control("submit", "--", "true").exitCode == 1)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(5)))
struct `A request whose answer is lost with its connection` {
    private static let rounds = 100

    /// Sends `arguments` through a relay that cuts, and expects that the command has found out what became of it.
    private func cutOff(
        _ fleet: Fleet,
        _ relay: CuttingRelay,
        _ cut: CuttingRelay.Cut,
        after scripts: Int = 0,
        _ arguments: [String]
    ) async throws -> Fleet.Output {
        relay.arm(cut, after: scripts)
        // Behind the verb: what a job runs comes last.
        let options = ["--redis", "unix://\(relay.path)", "-o", "json"]
        let result = try await fleet.control([arguments[0]] + options + arguments.dropFirst())
        #expect(relay.isDone)
        #expect(result.exitCode == 0 && result.errors.isEmpty, "\(cut): \(result)")
        return result
    }

    @Test
    func `is on record once, a hundred times of a hundred`() async throws {
        try await withFleet { fleet in
            let relay = try CuttingRelay(path: "\(fleet.directory)/relay", server: fleet.redis.socketPath)
            defer { relay.close() }
            try await fleet.worker("w1", ["--concurrency", "50"]) { _ in
                let client = try await fleet.client
                var runs: [RunID] = []
                for index in 0..<Self.rounds {
                    let words = ["sleep", "300"].map { Array($0.utf8) }
                    let job = try Name("j\(index)")
                    let submission = Submission(job: job, queue: try Name("default"), command: words)
                    guard case .queued(let run) = try await client.submit(submission) else { continue }
                    runs.append(run)
                }
                // The server knows the script from here on.
                _ = try await fleet.control("cancel", "nobody")
                for index in 0..<Self.rounds {
                    let cut = CuttingRelay.Cut.allCases[index % 2]
                    let result = try await cutOff(fleet, relay, cut, ["cancel", "j\(index)", "--no-wait"])
                    #expect(result.text.contains(#""already_requested":false"#), "\(result)")
                }
                for run in runs {
                    try await eventually("\(run) has ended") { try await client.record(of: run)?.state.isEnd == true }
                    #expect(try await client.record(of: run)?.state == .interrupted)
                }
                let all = try await client.history(limit: 10_000) { _ in true }
                for run in runs {
                    let events = all.filter { $0.fields["run"] == run.rawValue }.map(\.event)
                    let counts = ["requested", "escalated", "late", "ended"].map { name in events.count { $0 == name } }
                    #expect(counts == [1, 0, 0, 1], "\(run): \(events)")
                }
            }
        }
    }

    @Test
    func `is told of all members of a group, also of those that it has ended itself`() async throws {
        try await withFleet { fleet in
            let relay = try CuttingRelay(path: "\(fleet.directory)/relay", server: fleet.redis.socketPath)
            defer { relay.close() }
            _ = try await fleet.control("cancel", "group:g", "--yes")
            _ = try await fleet.control("drain", "queue:other", "--yes")
            for cut in CuttingRelay.Cut.allCases {
                for name in ["a", "b", "c"] {
                    _ = try await fleet.control("submit", "--id", name, "--group", "g", "--", "x")
                }
                // The first script closes the gate.
                let result = try await cutOff(fleet, relay, cut, after: 1, ["cancel", "group:g", "--yes"])
                let lines = result.text.split(separator: "\n")
                #expect(lines.count == 3, "\(cut): \(result)")
                #expect(lines.allSatisfy { $0.contains(#""state":"interrupted""#) })
                _ = try await fleet.control("resume", "group:g")
            }
        }
    }

    @Test(arguments: CuttingRelay.Cut.allCases)
    func `is a submission that is queued once`(cut: CuttingRelay.Cut) async throws {
        try await withFleet { fleet in
            let relay = try CuttingRelay(path: "\(fleet.directory)/relay", server: fleet.redis.socketPath)
            defer { relay.close() }
            _ = try await fleet.control("submit", "--id", "first", "--", "x")
            _ = try await cutOff(fleet, relay, cut, ["submit", "--id", "a", "--", "x"])
            let list = try await fleet.control("list", "-o", "json")
            #expect(list.text.split(separator: "\n").count { $0.contains(#""job":"a""#) } == 1)
        }
    }

    @Test(arguments: CuttingRelay.Cut.allCases)
    func `is a run that is given up once`(cut: CuttingRelay.Cut) async throws {
        try await withFleet { fleet in
            let relay = try CuttingRelay(path: "\(fleet.directory)/relay", server: fleet.redis.socketPath)
            defer { relay.close() }
            _ = try await fleet.control("submit", "--id", "a", "--", "x")
            let run = try #require(try await fleet.redis.command("HGET", "interrupt/job/a", "run").text)
            try await fleet.redis.command("HSET", "interrupt/run/\(run)", "state", "running", "worker", "gone")
            // The server knows the script from here on.
            _ = try await fleet.control("forget", "nobody")
            let result = try await cutOff(fleet, relay, cut, ["forget", run])
            #expect(result.text.contains(#""state":"lost""#), "\(result)")
            let events = try await fleet.client.history(limit: 100) { $0.fields["run"] == run }.map(\.event)
            #expect(events.count { $0 == "ended" } == 1, "\(events)")
        }
    }
}
