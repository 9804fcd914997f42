import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

private let key = SigningKey(Array("correct horse battery staple".utf8))!

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A signed submission` {
    /// One with everything that a submission can say.
    private func full(_ scene: Scene, _ job: String = "j") throws -> Submission {
        var submission = try scene.submission(job, groups: ["g", "h"])
        submission.work = .command(["make", "", "all"].map { Array($0.utf8) })
        submission.directory = "/srv"
        submission.environment = ["A": [1, 2], "EMPTY": []]
        submission.gracePeriod = .seconds(3)
        submission.timeout = .seconds(60)
        submission.chargesPausedTime = true
        submission.limits = RunLimits(memory: 1 << 30, cpuTime: .seconds(9), processes: 7, output: 1 << 20)
        submission.hooks = RunHooks(onInterrupt: "true", onEnd: "false", limit: .seconds(5))
        submission.submittedBy = "ann@box"
        return submission
    }

    /// What a worker with the key makes of the submission, after `change` to its record.
    private func checked(
        _ watching: Watching,
        _ submission: Submission,
        signedWith signingKey: SigningKey? = key,
        gracePeriod: Duration = .seconds(10),
        change: (Scene, RunID) async throws -> Void = { _, _ in }
    ) async throws -> RunSignature {
        let scene = signingKey.map(watching.scene.signing) ?? watching.scene
        #expect(try await scene.client.submit(submission) == .queued(submission.run))
        try await change(scene, submission.run)
        let offer = try #require(try await watching.transport.offers(limit: 1).first)
        guard case .started(let order, _) = try await watching.transport.start(offer, gracePeriod: gracePeriod) else {
            throw Failure(description: "\(submission.job) was not started")
        }
        try await watching.transport.end(order.run, as: RunEnding(state: .failed))
        return order.signature
    }

    private func why(_ signature: RunSignature) -> String {
        if case .invalid(let why) = signature { why } else { "\(signature)" }
    }

    @Test func `is known by the worker that has the key, whole, plain or of a handler`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            let scene = watching.scene
            #expect(try await checked(watching, full(scene)) == .valid)
            #expect(try await checked(watching, scene.submission("plain")) == .valid)
            let handler = Submission(
                job: try Name("h"),
                queue: try Name("default"),
                handler: try Name("count"),
                input: "{}"
            )
            #expect(try await checked(watching, handler) == .valid)
            let unsigned = try await checked(watching, scene.submission("unsigned"), signedWith: nil)
            #expect(why(unsigned) == "it is not signed, submit it with --sign-key")
            let other = SigningKey(Array("another key of ours".utf8))!
            let wrong = try await checked(watching, scene.submission("wrong"), signedWith: other)
            #expect(why(wrong).hasPrefix("its signature is wrong: made with another key"))
        }
    }

    @Test func `is looked at by nobody where the worker has no key`() async throws {
        try await withWatching { watching async throws in
            #expect(try await checked(watching, watching.scene.submission("j")) == .unchecked)
        }
    }

    @Test func `signs everything that its record says of what runs, where and for how long`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            let submission = try full(watching.scene)
            let named = submission.fields.map(\.name) + submission.options.map(\.name)
            // Whoever adds an option to submissions adds it to what is signed.
            #expect(Set(named).subtracting(SignedRun.fields) == [])
            let changes: [(String, String)] = [
                ("groups", "g"), ("submitted_by", "bob"), ("command", "make\u{0}all"),
                ("command", "make\u{0}\u{0}all "),
                ("cwd", "/"), ("grace_ms", "4000"), ("timeout_ms", ""), ("timeout_ms", "600000"), ("charge_paused", ""),
                ("max_memory_bytes", "99"), ("max_cpu_ms", "1"), ("max_processes", "8"), ("max_output_bytes", "1"),
                ("on_interrupt", "rm -rf /"), ("on_end", ""), ("hook_limit_ms", "50000"), ("retries", "3"),
                ("expires_at_ms", "99999999999999"), ("expires_at_ms", ""),
                ("signature", String(repeating: "0", count: 64)),
                ("signature", ""), ("job", "k"), ("queue", "other"),
            ]
            for (index, (field, value)) in changes.enumerated() {
                let signature = try await checked(watching, full(watching.scene, "j\(index)")) { scene, run in
                    try await scene.command("HSET", "interrupt/run/\(run)", field, value)
                }
                #expect(
                    why(signature).hasPrefix("its signature is wrong") || value.isEmpty && field == "signature",
                    "\(field)"
                )
                #expect(signature != .valid, "\(field) = \(value)")
            }
        }
    }

    @Test(arguments: [
        ["HSET", "A", "x"], ["HSET", "B", "x"], ["HDEL", "A"], ["HDEL", "EMPTY"], ["HSET", "LD_PRELOAD", "x"],
    ])
    func `signs every variable`(change: [String]) async throws {
        try await withWatching(signingKey: key) { watching async throws in
            let signature = try await checked(watching, full(watching.scene)) { scene, run in
                let words = [change[0], "interrupt/env/\(run)"] + change.dropFirst()
                try await scene.connection.send(RedisCommand(arguments: words.map { Array($0.utf8) }))
            }
            #expect(why(signature).hasPrefix("its signature is wrong"))
        }
    }

    @Test func `leaves the grace period to the worker, where it names none, and to nobody else`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            func check(_ job: String, _ recorded: String?) async throws -> RunSignature {
                try await checked(watching, watching.scene.submission(job), gracePeriod: .seconds(7)) { scene, run in
                    if let recorded { try await scene.command("HSET", "interrupt/run/\(run)", "grace_ms", recorded) }
                }
            }
            #expect(try await check("none", nil) == .valid)
            #expect(try await check("the-same", "7000") == .valid)
            #expect(try await check("another", "0") != .valid)
        }
    }

    @Test func `is good for its run alone, and for its namespace`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            // The record as it is, but for its id.
            let scene = watching.scene
            let submission = try full(scene)
            #expect(try await checked(watching, submission) == .valid)
            for (run, first) in [
                ("replay", ""), ("\(submission.run).2", ""), ("\(submission.run).2", submission.run.rawValue),
            ] {
                for (kind, name) in [("run", run), ("env", run)] {
                    try await scene.command(
                        "COPY",
                        "interrupt/\(kind)/\(submission.run)",
                        "interrupt/\(kind)/\(name)",
                        "REPLACE"
                    )
                }
                try await scene.command(
                    "HSET",
                    "interrupt/run/\(run)",
                    "run",
                    run,
                    "state",
                    "queued",
                    "first_run",
                    first,
                    "attempt",
                    "1"
                )
                let entry = try await scene.command("XADD", "interrupt/queue/default", "*", "run", run).text ?? ""
                try await scene.command("HSET", "interrupt/run/\(run)", "entry", entry)
                let offer = try #require(try await watching.transport.offers(limit: 1).first)
                let started = try await watching.transport.start(offer, gracePeriod: .seconds(10))
                guard case .started(let order, _) = started else {
                    throw Failure(description: "\(run) was not started")
                }
                #expect(order.signature != .valid, "\(run), first run '\(first)'")
            }
            let namespace = try RedisKeys(namespace: "other")
            let elsewhere = InterruptClient(commands: scene.connection, keys: namespace, signingKey: key)
            let copied = try scene.submission("copied")
            _ = try await elsewhere.submit(copied)
            let signature = try await checked(watching, copied) { scene, run in
                let there = try await scene.command("HGET", "other/run/\(run)", "signature").text ?? ""
                let expiry = try await scene.command("HGET", "other/run/\(run)", "expires_at_ms").text ?? ""
                try await scene.command("HSET", "interrupt/run/\(run)", "signature", there, "expires_at_ms", expiry)
            }
            #expect(why(signature).hasPrefix("its signature is wrong"))
        }
    }

    @Test func `is good until it expires, by the server's clock`() async throws {
        try await withWatching(signingKey: key) { watching async throws in
            var short = try watching.scene.submission("short")
            short.signatureLifetime = .milliseconds(1)
            let expired = try await checked(watching, short) { scene, _ in
                let expiry = try await scene.client.serverTime().advanced(by: .milliseconds(1))
                try await scene.until { try await scene.client.serverTime() > expiry }
            }
            #expect(why(expired).hasPrefix("its signature expired at 2"), "\(expired)")
            let day = try watching.scene.submission("day")
            let before = try await watching.scene.client.serverTime()
            #expect(try await checked(watching, day) == .valid)
            let record = try #require(try await watching.scene.client.record(of: day.run))
            let expiry = try #require(record.expiresAt)
            #expect(expiry - before >= .seconds(86_400) && expiry - before < .seconds(86_460))
            #expect(record.json.line.contains("\"expires_at\":\"\(expiry.rfc3339)\""))
        }
    }
}

@Suite struct `A retry of a signed run` {
    private func check(run: String, first: String, attempt: Int, retries: Int, now: Int64 = 5) throws -> RunSignature {
        let values = ["job": "j", "queue": "q", "command": "make", "retries": "\(retries)", "expires_at_ms": "10"]
        let signed = SignedRun(namespace: "interrupt", environment: []) { name in
            name == "run" ? Array("r".utf8) : values[name].map { Array($0.utf8) }
        }
        let more = ["run": run, "first_run": first, "attempt": "\(attempt)", "signature": signed.signature(with: key)]
        let fields = values.merging(more) { $1 }
        let reply = RESPValue.array(fields.flatMap { [.bulk(Array($0.key.utf8)), .bulk(Array($0.value.utf8))] })
        let claimed = ClaimedRun(
            record: try #require(RunRecord(reply: reply)),
            environment: nil,
            workersGracePeriod: .seconds(10),
            namespace: "interrupt"
        )
        return claimed.check(with: key, now: Timestamp(milliseconds: now))
    }

    @Test func `is let run as often as the submission has said, each attempt once`() throws {
        #expect(try check(run: "r", first: "", attempt: 1, retries: 2) == .valid)
        #expect(try check(run: "r.2", first: "r", attempt: 2, retries: 2) == .valid)
        #expect(try check(run: "r.3", first: "r", attempt: 3, retries: 2) == .valid)
        for (run, attempt) in [("r.4", 4), ("r.3", 2), ("x", 2), ("r", 2), ("r.1", 1), ("r.2x", 2), ("s.2", 2)] {
            #expect(try check(run: run, first: "r", attempt: attempt, retries: 2) != .valid, "\(run)")
        }
        #expect(try check(run: "s.2", first: "s", attempt: 2, retries: 2) != .valid)
        #expect(try check(run: "r.2", first: "r", attempt: 2, retries: 2, now: 10) != .valid)
    }
}
