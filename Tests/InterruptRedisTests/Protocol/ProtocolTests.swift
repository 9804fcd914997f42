import InterruptCore
import InterruptTesting
import Subprocess
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `The protocol document` {
    /// The lines of all blocks of this language, in order.
    private func blocks(_ language: String, of text: String) -> [[String]] {
        var blocks: [[String]] = []
        var block: [String]?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line == "```", let lines = block {
                blocks.append(lines)
                block = nil
            } else if line == "```\(language)" {
                block = []
            } else {
                block?.append(line)
            }
        }
        return blocks
    }

    @Test func `has examples that run as they stand and print what they promise`() async throws {
        let lines = blocks("sh", of: try Documents.text("Protocol.md")).flatMap(\.self)
        let promised = lines.filter { $0.hasPrefix("#=> ") }.map { String($0.dropFirst(4)) }
        #expect(promised.count > 10)
        try await withWatching(pollInterval: .milliseconds(200)) { watching in
            try await watching.isReady()
            for (job, groups) in [("report", ["nightly"]), ("index", [])] {
                let (order, _) = try await watching.start(job, groups: groups)
                let (receipts, continuation) = AsyncStream<(InterruptSignal, DeliveryWay)>.makeStream()
                watching.transport.watch(order) { continuation.yield(($0, $1)) }
                // Awaited by nobody: it ends with the server, when a receipt can no longer be written.
                Task {
                    for await (signal, way) in receipts {
                        do {
                            try await watching.transport.acknowledge(signal, way: way, for: order.run)
                        } catch {
                            return
                        }
                    }
                }
            }
            try await watching.isReady(tracking: 8)
            let script = "set -eu\nSOCKET='\(watching.scene.redis.socketPath)'\n" + lines.joined(separator: "\n")
            let result = try await Subprocess.run(
                .name("timeout"),
                arguments: ["30", "bash", "-c", script],
                output: .string(limit: 100_000),
                error: .string(limit: 100_000)
            )
            #expect(result.terminationStatus.isSuccess, "\(result.standardError)")
            let printed = result.standardOutput.split(separator: "\n").map(String.init)
            #expect(printed == promised)
        }
    }

    @Test func `names every key, channel, event and outcome that the code has`() throws {
        let text = try Documents.text("Protocol.md")
        for outcome in ["accepted", "escalated", "already", "known", "stopped", "ended", "missing", "replaced"] {
            #expect(InterruptReceipt.Outcome(rawValue: outcome) != nil && text.contains("`\(outcome)`"), "\(outcome)")
        }
        for outcome in PauseOutcome.allCases { #expect(text.contains("`\(outcome.rawValue)`"), "\(outcome)") }
        for way in DeliveryWay.allCases { #expect(text.contains("`\(way.rawValue)`"), "\(way)") }
        for reason in InterruptReason.Kind.allCases { #expect(text.contains("`\(reason.rawValue)`"), "\(reason)") }
        for state in RunState.allCases { #expect(text.contains(state.rawValue), "\(state)") }
        let keys = try RedisKeys(namespace: "NS")
        let (name, run) = (try Name("x"), RunID(rawValue: "x"))
        for key in [
            keys.job(name), keys.run(run), keys.environment(run), keys.request(run), keys.queue(name), keys.output(run),
            keys.group(name), keys.holds(name), keys.worker(name), keys.gate(.group(name)), keys.live, keys.ended,
            keys.workers, keys.history, keys.meta, keys.pause(run), keys.pause(.all),
        ] {
            let prefix = key.split(separator: "/").prefix(2).joined(separator: "/")
            #expect(text.contains("`\(prefix)"), "\(prefix)")
        }
        let sources = [
            RedisScripts.submit, RedisScripts.start, RedisScripts.interrupt, RedisScripts.acknowledge, RedisScripts.end,
            RedisScripts.closeGate, RedisScripts.openGate, RedisScripts.enter, RedisScripts.leave,
            RedisScripts.holdout, RedisScripts.paused, RedisScripts.hold,
        ]
        for script in sources {
            for part in script.source.split(separator: "record(now").dropFirst() {
                let quoted = part.split(separator: "'")
                guard quoted.count > 1, part.hasPrefix(", '") || part.hasPrefix("_ms(), '") else { continue }
                #expect(text.contains("`\(quoted[1])`"), "event \(quoted[1])")
            }
        }
    }
}
