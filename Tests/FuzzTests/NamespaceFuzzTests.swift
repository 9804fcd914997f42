import Foundation
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

/// A namespace in which anything may stand in any field of any key, and the programs that read it.
@Suite(.timeLimit(.minutes(10))) struct `A hostile namespace` {
    @Test func `is read by the library and answered by every script, and what is written to it can be read`()
        async throws
    {
        var numbers = SeededRandom(seed: Fuzzing.seed)
        print("fuzzing a namespace with INTERRUPT_FUZZ_SEED=\(Fuzzing.seed)")
        try await withNamespace { namespace in
            let begin = ContinuousClock.now
            var said: Set<String> = []
            while begin.duration(to: .now) < .seconds(4 * Fuzzing.seconds) {
                try await namespace.fill()
                let spoiled = try await namespace.spoil(1 + numbers.below(3), &numbers)
                try await readEverything(namespace)
                // Whatever stands there: a request that is on record can be read, and its stage is what was asked.
                let kill = InterruptSignal(stage: .kill, reason: .timeout, triggeredBy: "ops")
                for run in [Namespace.running, Namespace.queued] {
                    guard let receipt = try await outcome({ try await namespace.client.interrupt([.run(run)], kill) }),
                        ![.ended, .missing].contains(receipt.outcome)
                    else { continue }
                    let request = try await outcome { try await [namespace.client.request(for: run)] } ?? nil
                    if request?.stage != .kill, said.insert("\(run)").inserted {
                        Issue.record(
                            "\(receipt.outcome), and the record says \(String(describing: request)), of \(spoiled)"
                        )
                    }
                }
                try await readEverything(namespace)
            }
        }
    }

    /// `nil` when the server refuses, in a line that can be shown.
    private func outcome<T>(_ ask: () async throws -> [T]) async throws -> T? {
        do { return try await ask().first } catch let error as RedisError {
            #expect("\(error)".isOnePlainLine)
            #expect(error.code == .reply || error.code == .notPermitted, "\(error)")
            return nil
        }
    }

    private func readEverything(_ namespace: Namespace) async throws {
        let client = namespace.client
        let records = try await outcome { try await [client.list(includingEnded: 100)] } ?? []
        for record in records { _ = (record.json.line, record.workText, record.order(environment: nil)) }
        _ = try await outcome { try await client.workers() }
        _ = try await outcome { try await client.history(limit: 100) }
        for run in [Namespace.queued, Namespace.running, Namespace.ended] {
            _ = try await outcome { try await [client.record(of: run)] }
            _ = try await outcome { try await [client.request(for: run)] }
            _ = try await outcome { try await client.output(of: run, after: "0", waiting: nil) }
            _ = try await outcome { try await client.outputTail(of: run, entries: 10) }
        }
        for target in [
            InterruptTarget.all, .group(try Name("g1")), .worker(try Name("w1")), .queue(try Name("default")),
        ] {
            _ = try await outcome { try await client.liveRuns(of: target) }
        }
    }

    @Test func `does not make interruptctl crash, hang or print raw control bytes`() async throws {
        var numbers = SeededRandom(seed: Fuzzing.seed)
        print("fuzzing interruptctl with INTERRUPT_FUZZ_SEED=\(Fuzzing.seed)")
        try await withNamespace { namespace in
            let begin = ContinuousClock.now
            repeat {
                try await namespace.fill()
                let spoiled = try await namespace.spoil(20, &numbers)
                let calls = [
                    ["status"], ["status", "r"], ["status", "e"], ["list", "--all"], ["list", "-o", "json"],
                    ["history"],
                    ["history", "r"], ["history", "-o", "json"], ["workers"], ["logs", "e"], ["wait", "e"],
                    ["cancel", "r", "--no-wait"], ["watch", "e"], ["doctor"],
                ]
                for call in calls {
                    let result = try await control(namespace.redis, call)
                    let text = result.output.isEmpty || call[0] == "logs" ? [] : result.output.split(separator: "\n")
                    for line in text + result.errors.split(separator: "\n") where !String(line).isOnePlainLine {
                        Issue.record("\(call) prints \(line.debugDescription), of \(spoiled)")
                    }
                    if let end = result.badEnd {
                        Issue.record("\(call) \(end): \(result.errors.prefix(500)), of \(spoiled)")
                    }
                }
            } while begin.duration(to: .now) < .seconds(2 * Fuzzing.seconds)
        }
    }

    private func control(
        _ redis: TestRedis,
        _ words: [String]
    ) async throws -> (output: String, errors: String, badEnd: String?) {
        // Who watches does so for as long as he likes, and the end that is waited for may not be seen any more.
        let isEndless = ["watch", "wait"].contains(words[0])
        // `timeout` sends SIGINT, as somebody who has seen enough. The others end by themselves, on a busy machine too.
        let result = try await run(
            .name("timeout"),
            arguments: Arguments(
                ["-s", "INT", "-k", "10", isEndless ? "5" : "30", Program.path("interruptctl")] + words
            ),
            environment: Program.environment(redis),
            input: .none,
            output: .string(limit: 64 << 20),
            error: .string(limit: 64 << 20)
        )
        let badEnd: String? =
            switch result.terminationStatus {
            case .exited(124): isEndless ? nil : "hangs"
            case .exited(137): "does not end for SIGINT"
            case .exited(132...139), .signaled: "has crashed"
            case .exited: nil
            }
        return (result.standardOutput, result.standardError, badEnd)
    }

    @Test func `does not keep a worker from running what can be run`() async throws {
        var numbers = SeededRandom(seed: Fuzzing.seed)
        print("fuzzing interruptd with INTERRUPT_FUZZ_SEED=\(Fuzzing.seed)")
        try await withNamespace { namespace in
            let begin = ContinuousClock.now
            repeat {
                try await namespace.fill()
                try await spoil(namespace, around: &numbers)
            } while begin.duration(to: .now) < .seconds(2 * Fuzzing.seconds)
        }
    }

    private func spoil(_ namespace: Namespace, around numbers: inout SeededRandom) async throws {
        // In a namespace with another version nothing runs at all, and a gate is closed on purpose.
        let spared: Set = ["interrupt/meta", "interrupt/worker/w2", "interrupt/holds/w2"]
        let spoiled = try await namespace.spoil(12, sparing: spared, &numbers)
        let file = "\(namespace.redis.directory)/\(numbers.next()).log"
        let log = try FileDescriptor.open(file, .writeOnly, options: [.create], permissions: .ownerReadWrite)
        let state = "\(namespace.redis.directory)/state"
        var later: [String] = []
        let result = try await run(
            .path(FilePath(Program.path("interruptd"))),
            arguments: ["--name", "w2", "--allow-any-command", "--state-dir", state, "--grace", "1s"],
            environment: Program.environment(namespace.redis),
            input: .none,
            output: .fileDescriptor(log, closeAfterSpawningProcess: false),
            error: .fileDescriptor(log, closeAfterSpawningProcess: true)
        ) { daemon in
            try await runsGoodJob(namespace, spoiled)
            // While it looks on.
            for _ in 0..<4 { later += try await namespace.spoil(5, sparing: spared, &numbers) }
            try await runsGoodJob(namespace, spoiled + later)
            kill(daemon.processIdentifier.value, SIGTERM)
        }
        let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
        #expect(result.terminationStatus == .exited(0), "\(lines.suffix(5)), of \(spoiled + later)")
        for line in lines where !String(line).isOnePlainLine {
            Issue.record("interruptd prints \(line.debugDescription), of \(spoiled + later)")
        }
    }

    private func runsGoodJob(_ namespace: Namespace, _ spoiled: [String]) async throws {
        var submission = Submission(job: try Name("good"), queue: try Name("default"), command: [Array("true".utf8)])
        submission.directory = "/"
        let deadline = ContinuousClock.now + .seconds(60)
        var state: RunState?
        // What is spoiled may interrupt it; then somebody submits it again.
        while state != .completed, ContinuousClock.now < deadline {
            if state?.isEnd ?? true {
                submission.run = .random()
                // A job whose state cannot be read any more may still run, and keeps its name.
                submission.job = try Name("good-\(submission.run)")
                _ = try? await namespace.client.submit(submission)  // refused while a gate is closed
            }
            try await Task.sleep(for: .milliseconds(20))
            state = try await namespace.client.record(of: submission.run)?.state
        }
        if state != .completed { Issue.record("the good job is \(String(describing: state)), of \(spoiled)") }
    }
}

/// The programs beside the test bundle.
enum Program {
    static func path(_ name: String) -> String {
        var bundle = FilePath(CommandLine.arguments[0])
        // The test runner may live elsewhere; the test bundle is among its arguments then.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") { bundle = FilePath(argument) }
        return bundle.removingLastComponent().appending(name).string
    }

    static func environment(_ redis: TestRedis) -> Subprocess.Environment {
        .inherit.updating([
            "INTERRUPT_REDIS_URL": "unix://\(redis.socketPath)", "LC_ALL": "C.UTF-8", "NO_COLOR": nil,
            "XDG_RUNTIME_DIR": redis.directory, "SWIFT_BACKTRACE": "enable=no",
        ])
    }
}

extension Namespace {
    /// Puts hostile values where the scripts have written others; answers what it has done.
    @discardableResult
    func spoil(
        _ count: Int,
        sparing spared: Set<String> = [],
        _ numbers: inout SeededRandom
    ) async throws -> [String] {
        let names = try await command("KEYS", "interrupt*").array?.compactMap(\.text).sorted() ?? []
        let candidates = names.filter { !spared.contains($0) }
        var done: [String] = []
        for _ in 0..<count where !candidates.isEmpty {
            let key = candidates[numbers.below(candidates.count)]
            let value = Self.hostile(&numbers)
            let name = Array(key.utf8)
            var field = ""
            // What a role may write that is trusted with nothing else may be of another type.
            let isAnyones = ["interrupt/request/", "interrupt/history", "interrupt:"].contains { key.hasPrefix($0) }
            if isAnyones, numbers.chance(20) {
                try await command("DEL", key)
                try await command(Array("RPUSH".utf8), name, value)
                done.append("\(key), a list")
                continue
            }
            switch try await command("TYPE", key).text {
            case "hash":
                let fields = try await command("HKEYS", key).array?.compactMap(\.text).sorted() ?? []
                if fields.isEmpty { continue }
                field = fields[numbers.below(fields.count)]
                try await command(Array("HSET".utf8), name, Array(field.utf8), value)
            case "set": try await command(Array("SADD".utf8), name, value)
            case "zset": try await command(Array("ZADD".utf8), name, Array("1".utf8), value)
            case "stream":
                let events = ["ended", "started", "requested", "acknowledged", "holdout", "checkpoint", "more_time"]
                let event = Array(events[numbers.below(events.count)].utf8)
                let fields: [[UInt8]] = ["event", "job", "run", "at_ms", "reason", "stage", "run"].map {
                    Array($0.utf8)
                }
                var words = [Array("XADD".utf8), name, Array("*".utf8), fields[0], event]
                for field in fields.dropFirst() { words += [field, Self.hostile(&numbers)] }
                _ = try await connection.send([RedisCommand(arguments: words)], timeout: .seconds(20))
            case "string": try await command(Array("SET".utf8), name, value, Array("KEEPTTL".utf8))
            default: continue
            }
            let argument = RedisArgument(value)
            done.append("\(key) \(field) \(argument.shown)")
        }
        return done
    }

    private static let records = [
        "{\"stage\":99,\"request_id\":\"x\",\"reason\":\"timeout\",\"triggered_at_ms\":1}",
        "{\"stage\":2.5,\"request_id\":\"x\",\"reason\":\"timeout\",\"triggered_at_ms\":1}",
        "{\"stage\":2,\"request_id\":\"x\",\"reason\":\"timeout\",\"triggered_at_ms\":1.5,\"grace_ms\":-1}",
        "{\"stage\":2,\"request_id\":\"x\",\"reason\":\"timeout\",\"triggered_at_ms\":1e300,\"v\":7}",
        "{\"stage\":2,\"request_id\":\"\",\"reason\":\"timeout\",\"triggered_at_ms\":1,\"seen\":{\"a\":1}}",
        "{\"stage\":2,\"request_id\":\"x\",\"reason\":\"t\",\"triggered_at_ms\":1,\"seen\":[[1]],\"escalated_by\":{\"9\":1}}",
        "{\"stage\":2,\"request_id\":\"x\",\"reason\":\"t\",\"triggered_at_ms\":1,\"save_checkpoint\":\"yes\"}",
        "{\"stage\":1,\"request_id\":\"x\",\"reason\":\"t\",\"triggered_at_ms\":1,\"source\":[1],\"run\":7,\"probe\":\"p\"}",
        "{\"stage\":2,\"request_id\":\"" + String(repeating: "x", count: 200)
            + "\",\"reason\":\"t\",\"triggered_at_ms\":1}",
        "[[[[[[1]]]]]]", "\"text\"", "7",
    ]

    private static func hostile(_ numbers: inout SeededRandom) -> [UInt8] {
        switch numbers.below(10) {
        case 0: []
        case 1: [UInt8](repeating: UInt8(ascii: "x"), count: 70_000)
        case 2: (0..<numbers.below(30)).map { _ in UInt8(numbers.below(256)) }
        case 3, 4, 5: Array(records[numbers.below(records.count)].utf8)
        default: Fuzzing.pieces[numbers.below(Fuzzing.pieces.count)]
        }
    }
}
