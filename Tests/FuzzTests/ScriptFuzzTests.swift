import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

/// The scripts on a real server, with arguments that nobody should pass and records that nobody should write.
@Suite(.timeLimit(.minutes(10))) struct `Scripts` {
    typealias Call = (script: RedisScript, arguments: [RedisArgument])

    private static func calls(entry: String) -> [Call] {
        let signal = Namespace.signal
        let (queued, running) = (Namespace.queued.rawValue, Namespace.running.rawValue)
        let own: [RedisArgument] = [.init(running), .init(Namespace.instance)]
        return [
            (RedisScripts.submit, Namespace.submission("new", RunID(rawValue: "newnewnewnewnewnewne"))),
            (RedisScripts.submit, Namespace.submission("q", RunID(rawValue: "newnewnewnewnewnewne"))),
            (RedisScripts.start, Namespace.start(Namespace.queued, entry)),
            (RedisScripts.interrupt, signal + ["", "run", .init(running), "job", "q"]),
            (RedisScripts.acknowledge, signal + [.init(running), .init(Namespace.instance), "push"]),
            (RedisScripts.importFlag, signal + [.init(running), "r", "1"]),
            (RedisScripts.closeGate, signal + ["queue:default", "10000"]),
            (RedisScripts.openGate, ["group:other", "", "ops"]),
            (RedisScripts.pause, ["pause", "q2", "ops", "", "run", .init(running)]),
            (RedisScripts.hold, ["pause", "queue:default", "q2", "ops"]),
            (RedisScripts.paused, own + ["1"]), (RedisScripts.spawned, own + ["42", "4242", "boot"]),
            (RedisScripts.progress, own + ["0.5000", "page 3"]),
            (RedisScripts.holdout, own + ["section", "checkpoint", "1000", ""]),
            (RedisScripts.note, own + ["checkpoint", "page 3"]), (RedisScripts.note, own + ["more_time", "1000"]),
            (RedisScripts.append, own + ["9-0", "0", "out", "5", "more"]),
            (RedisScripts.end, Namespace.end(Namespace.running)),
            (RedisScripts.giveBack, ["default", .init(queued), .init(entry)]),
            (RedisScripts.enter, ["w1", "i2", .init(Namespace.instance), "slots", "4"]),
            (RedisScripts.heartbeat, ["w1", .init(Namespace.instance), "1", "0"]),
            (RedisScripts.lose, [.init(running), "i2", "gone", "3600"]),
            (RedisScripts.leave, ["w1", .init(Namespace.instance)]), (RedisScripts.survey, []),
            (RedisScripts.markSilent, ["w1", .init(Namespace.instance), "0", "w2"]),
            (
                RedisScripts.takeOver,
                ["w1", .init(Namespace.instance), "0", .init(running), "w2", "3600", "nextnextnextnextnext", "1"]
            ),
            (RedisScripts.forget, [.init(running), "ops", "3600"]),
            (
                RedisScripts.claimAgain,
                ["w1", .init(Namespace.instance), .init(queued), "default", .init(entry), "5000", "42", "4242", "boot"]
            ),
            (RedisScripts.dropFlag, ["r", "1"]),
        ]
    }

    private static func hostile(_ numbers: inout SeededRandom) -> [UInt8] {
        switch numbers.below(10) {
        case 0: []
        case 1: [UInt8](repeating: UInt8(ascii: "x"), count: 100_000)
        case 2: (0..<numbers.below(30)).map { _ in UInt8(numbers.below(256)) }
        default: Fuzzing.pieces[numbers.below(Fuzzing.pieces.count)]
        }
    }

    @Test func `answer or refuse, and leave no record that nobody can read`() async throws {
        var numbers = SeededRandom(seed: Fuzzing.seed)
        print("fuzzing the scripts with INTERRUPT_FUZZ_SEED=\(Fuzzing.seed)")
        try await withNamespace { namespace in
            let begin = ContinuousClock.now
            var said: Set<String> = []
            while begin.duration(to: .now) < .seconds(4 * Fuzzing.seconds) {
                try await namespace.fill()
                try await namespace.command("SET", "interrupt:r", "1")
                #expect(try await namespace.check() == [], "what the test has filled in")
                let entry = try await namespace.command("HGET", "interrupt/run/\(Namespace.queued)", "entry").text ?? ""
                let calls = Self.calls(entry: entry)
                let (script, valid) = calls[numbers.below(calls.count)]
                var arguments = valid
                if arguments.isEmpty || numbers.chance(15) {
                    arguments = Array(arguments.prefix(numbers.below(arguments.count + 1)))
                } else {
                    for _ in 0...numbers.below(3) {
                        arguments[numbers.below(arguments.count)] = RedisArgument(Self.hostile(&numbers))
                    }
                }
                let before = try await namespace.dump()
                let call = "\(script.name) \(arguments.map(\.shown))"
                var findings: [String] = []
                do {
                    _ = try await namespace.client.evaluate(script, arguments)
                } catch let error as RedisError {
                    if error.code == .timedOut { findings.append("does not end") }
                    if !"\(error)".isOnePlainLine {
                        findings.append("is refused with '\("\(error)".debugDescription)'")
                    }
                    let after = try await namespace.dump()
                    for key in Set(before.keys).union(after.keys).sorted() where before[key] != after[key] {
                        findings.append("is refused with '\(error)' and has written \(key)")
                    }
                }
                findings += try await namespace.check()
                for finding in findings where said.insert("\(script.name) \(finding.prefix(60))").inserted {
                    Issue.record("\(finding), by \(call) with INTERRUPT_FUZZ_SEED=\(Fuzzing.seed)")
                }
            }
        }
    }
}

extension RedisArgument {
    /// For messages.
    var shown: String {
        let text = String(decoding: bytes.prefix(60), as: UTF8.self).debugDescription
        return bytes.count > 60 ? "\(text)… (\(bytes.count) bytes)" : text
    }
}
