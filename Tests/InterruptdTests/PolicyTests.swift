import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import Testing

@testable import interruptd

@Suite struct `Policy file` {
    private func problem(_ yaml: String) -> String {
        do throws(InvalidSetting) {
            _ = try InterruptPolicy(yaml: yaml, file: "p.yaml")
            return "accepted"
        } catch {
            return error.description
        }
    }

    private func steps(_ policy: InterruptPolicy, _ queue: String, _ stage: InterruptStage) throws -> [StageStep] {
        let signal = InterruptSignal(stage: stage)
        return policy.strategies(for: try Name(queue)).reduce([StageStep(stage)]) { steps, strategy in
            steps.flatMap { step in
                var signal = signal
                signal.stage = step.stage
                return strategy.steps(for: signal)
            }
        }
    }

    @Test func `says for each queue what an interrupt means, and for all others`() throws {
        let policy = try InterruptPolicy(
            yaml: """
                "*": {drain_limit: 5m}
                uploads:
                  finish_within: 30s
                previews: {stop_at_once: true}
                """,
            file: "p.yaml"
        )
        #expect(
            try steps(policy, "uploads", .terminate) == [StageStep(.drain), StageStep(.terminate, after: .seconds(30))]
        )
        #expect(try steps(policy, "previews", .drain) == [StageStep(.terminate)])
        #expect(
            try steps(policy, "other", .drain) == [StageStep(.drain), StageStep(.terminate, after: .seconds(300))]
        )
        #expect(InterruptPolicy().strategies(for: .defaultQueue).isEmpty)
        #expect(try InterruptPolicy(yaml: "", file: "p.yaml") == InterruptPolicy())
    }

    @Test func `what it cannot mean is named with its place`() {
        #expect(problem("etl: 5s") == "p.yaml:1:6: expected 'name: value' lines")
        #expect(problem("- etl") == "p.yaml:1:1: expected 'name: value' lines")
        #expect(problem("a/b: {drain_limit: 5s}").hasPrefix("p.yaml:1:1: "))
        #expect(problem("etl: {drain_limit: soon}").hasPrefix("p.yaml:1:7: 'soon' is not a duration"))
        #expect(problem("etl: {drain_limit: [1s]}").contains("'' is not a duration"))
        #expect(problem("etl: {stop_at_once: maybe}") == "p.yaml:1:7: stop_at_once is 'maybe', not true or false")
        #expect(problem("etl: {grace: 5s}").contains("unknown rule 'grace': known are finish_within"))
        #expect(problem("etl: {stop_at_once: true, drain_limit: 5s}").contains("leave one of them out"))
        #expect(problem("etl: {drain_limit: 5s}\netl: {}").contains("'etl' is given more than once"))
        #expect(problem("etl: {drain_limit").hasPrefix("p.yaml:2:1: not YAML"))
        #expect(problem("\u{1B}[31m: {}").contains("\u{1B}") == false)
    }
}

@Suite(.timeLimit(.minutes(2))) struct `Policy of a daemon` {
    private func write(_ text: String, to file: String) throws {
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        chmod(file, 0o600)
    }

    @Test func `a job that may finish first does, a drain becomes harder by itself, and SIGHUP reads it again`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let file = "\(directory)/p.yaml"
            try write("default: {finish_within: 1h}\n", to: file)
            let (status, lines) = try await withDaemon(["--policy", file], in: directory) { daemon in
                let client = try #require(daemon.client)
                let upload = try await daemon.start(
                    "until [ -e '\(directory)/done' ]; do sleep 0.01; done",
                    as: "upload"
                )
                _ = try await client.interrupt([.run(upload.run)], InterruptSignal())
                await daemon.lines.wait(for: "interrupted by=")
                try write("", to: "\(directory)/done")
                await daemon.lines.wait(for: "ended exit=\"0\" job=\"upload\"")
                try write("default: {drain_limit: 100ms}\n", to: file)
                daemon.send(SIGHUP)
                await daemon.lines.wait(for: "applied policy")
                let slow = try await daemon.start("while :; do sleep 1000; done", as: "slow")
                _ = try await client.interrupt([.run(slow.run)], InterruptSignal(stage: .drain))
                await daemon.lines.wait(for: "ended job=\"slow\"")
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            let ends = lines.filter { $0.contains("info ended") }
            #expect(ends.count == 2 && ends[0].contains("state=\"completed\""), "\(ends)")
            #expect(ends.last?.contains("state=\"interrupted\"") ?? false, "\(ends)")
            #expect(lines.contains { $0.contains("Grace period expired, forcing cancellation...") }, "\(lines)")
        }
    }

    @Test func `one that cannot be used ends the start with its place`() async throws {
        try await withTemporaryDirectory { directory in
            let file = "\(directory)/p.yaml"
            try write("default: {finish_within: soon}\n", to: file)
            let (status, lines) = try await withDaemon(["--policy", file], in: directory, waitsUntilReady: false) { _ in
            }
            #expect(status == .exited(64))
            #expect(lines.contains { $0.contains("p.yaml:1:11: 'soon' is not a duration") }, "\(lines)")
        }
    }
}
