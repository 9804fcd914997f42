import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `The connection of a requester` {
    /// The connection ends after byte k of what is sent, or of what is answered.
    @Test(arguments: [true, false])
    func `may break after any byte: the answer is never wrong, and nothing counts twice`(isReply: Bool) async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let runs = try await fleet.start(1)
                try await withFaultProxy(to: fleet.redis.endpoint) { proxy in
                    let quick = RedisConnectionConfiguration(commandTimeout: .seconds(1))
                    var asked: [Invariants.Asked] = []
                    var unknown = 0
                    // A greeting of 50 bytes, its answers of about ten; then the script by its digest, with a PING.
                    let places = Array(stride(from: 0, to: 600, by: faultScale > 1 ? 1 : 4))
                    // An answer grows with the ids that its record has seen.
                    for count in places + (isReply ? Array(stride(from: 600, to: 6_000, by: 150)) : []) {
                        let way = FaultRules.Way.cut(after: count)
                        proxy.rules = isReply ? FaultRules(toClient: way) : FaultRules(toServer: way)
                        let signal = InterruptSignal(stage: .drain)
                        var answer = await ask(runs[0], signal, proxy.endpoint, quick)
                        if answer == .unknown {
                            unknown += 1
                            answer = await ask(runs[0], signal, fleet.redis.endpoint, .patient)
                        }
                        asked.append(.init(request: signal.id, run: runs[0], stage: .drain, answer: answer))
                    }
                    let facts = try await fleet.facts(of: runs, asked: asked)
                    print(
                        "cut after byte k of the \(isReply ? "answer" : "question"): \(facts.summary), unknown first \(unknown)"
                    )
                    #expect(facts.violations == [])
                    #expect(unknown > 10 && unknown < asked.count - 10 && !asked.contains { $0.answer == .unknown })
                }
            }
        }
    }

    /// What one attempt says; `refused` is one of which nothing was sent.
    private func ask(
        _ run: RunID,
        _ signal: InterruptSignal,
        _ endpoint: RedisEndpoint,
        _ configuration: RedisConnectionConfiguration
    ) async -> Invariants.Answer {
        do {
            let connection = try await RedisConnection.connect(to: endpoint, configuration: configuration)
            defer { connection.close() }
            let client = InterruptClient(commands: connection, keys: try RedisKeys())
            _ = try await client.interrupt([.run(run)], signal)
            return .recorded
        } catch {
            return (error as? RedisError)?.isOutcomeUnknown == true ? .unknown : .refused
        }
    }

    /// What interruptctl says of its request; `nil` when it says something else. Who cannot connect has sent nothing.
    private func answer(_ said: Fleet.Output) -> Invariants.Answer? {
        if said.exitCode == 0 { return .recorded }
        guard said.exitCode == 69 else { return nil }
        if said.errors.hasPrefix("error: unknown whether it is recorded: ") { return .unknown }
        return said.errors.hasPrefix("error: cannot connect to ") ? .refused : nil
    }

    @Test func `of interruptctl may break in either direction: it says recorded, unknown or not sent, and is right`()
        async throws
    {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let runs = try await fleet.start(1)
                let job = try #require(try await fleet.records(of: runs).first?.job)
                try await withFaultProxy(to: fleet.redis.endpoint) { proxy in
                    var asked: [Invariants.Asked] = []
                    var answers: [Invariants.Answer: Int] = [:]
                    for (number, count) in stride(from: 0, to: 600, by: 60).enumerated() {
                        for isReply in [true, false] {
                            let way = FaultRules.Way.cut(after: count)
                            proxy.rules = isReply ? FaultRules(toClient: way) : FaultRules(toServer: way)
                            guard case .unix(let path) = proxy.endpoint.address else { return }
                            let id = "q\(number)\(isReply)"
                            let words = ["drain", job, "--yes", "--no-wait", "--request-id", id]
                            let begin = ContinuousClock.now
                            let first = try await fleet.control(words + ["--redis", "unix://\(path)"])
                            #expect(begin.duration(to: .now) < .seconds(10), "\(first)")
                            let told = try #require(answer(first), "\(first)")
                            answers[told, default: 0] += 1
                            var request = Invariants.Asked(
                                request: RequestID(rawValue: id),
                                run: runs[0],
                                stage: .drain,
                                answer: told
                            )
                            // Before anybody asks again.
                            #expect(try await fleet.facts(of: runs, asked: [request]).violations == [], "\(first)")
                            if told != .recorded {
                                let again = try await fleet.control(words)
                                #expect(again.exitCode == 0, "\(again)")
                                request.answer = .recorded
                            }
                            asked.append(request)
                        }
                    }
                    let facts = try await fleet.facts(of: runs, asked: asked)
                    print("interruptctl cut: \(facts.summary); at first \(answers)")
                    #expect(facts.violations == [])
                    #expect(answers[.unknown] ?? 0 > 0 && answers[.refused] ?? 0 > 0, "both were tried")
                }
            }
        }
    }
}
