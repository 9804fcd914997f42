import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// What a fail-over to a replica that was behind, or a restart with an older file, leaves: a server that knows less.
@Suite(.timeLimit(.minutes(3))) struct `A server that has forgotten that a run was started` {
    /// Runs `body` with a running job that a server which was restarted takes for queued, and with the job's process.
    private func withForgottenRun(
        _ command: String...,
        body: @Sendable (Fleet, RunID) async throws -> Void
    ) async throws {
        try await withFleet(redis: ["--appendonly", "no"]) { fleet in
            let place = ["--cwd", fleet.directory]
            #expect(try await fleet.control(["submit", "--id", "j"] + place + ["--"] + command).exitCode == 0)
            try await fleet.redis.command("SAVE")
            try await fleet.worker("w1", ["--concurrency", "2"]) { _ in
                let run = try await fleet.wait(for: "j", .running).run
                try await eventually("it runs") { !processes(with: "INTERRUPT_RUN=\(run)").isEmpty }
                try await fleet.redis.restart()
                try await body(fleet, run)
            }
        }
    }

    @Test func `is told so, and the run is interrupted as any other`() async throws {
        try await withForgottenRun("sleep", "300") { fleet, run in
            #expect(try await fleet.wait(for: "j", .running).run == run)
            let cancel = try await fleet.control("cancel", "j", "--wait", "30s")
            #expect(cancel.exitCode == 0, "\(cancel)")
            #expect(processes(with: "INTERRUPT_RUN=\(run)").isEmpty)
            let record = try await fleet.wait(for: "j", .interrupted)
            #expect(record.run == run && record.attempt == 1)
            let events = try await fleet.client.history(limit: 1_000) { $0.fields["run"] == run.rawValue }.map(\.event)
            #expect(events.count { $0 == "started" } == 1, "\(events)")
        }
    }

    @Test func `gets the end of the run, and nobody starts it a second time`() async throws {
        let script = "echo once >> log; while [ ! -e go ]; do sleep 0.1; done"
        try await withForgottenRun("sh", "-c", script) { fleet, run in
            // Longer than a worker leaves alone what it was offered and has not started.
            let again = try await fleet.wait(for: "j", .running)
            try await eventually("its heartbeats go on") {
                guard let startedAt = again.startedAt, let worker = try await fleet.client.worker("w1") else {
                    return false
                }
                return worker.seenAt - startedAt > .seconds(7)
            }
            #expect(!processes(with: "INTERRUPT_RUN=\(run)").isEmpty)
            #expect(try await fleet.control("run", "--", "touch", "\(fleet.directory)/go").exitCode == 0)
            #expect(try await fleet.wait(for: "j", .completed).run == run)
            #expect(try await fleet.control("run", "--", "cat", "\(fleet.directory)/log").text == "once\n")
        }
    }

    @Test func `or that it has ended, is told so as well`() async throws {
        let script = "while [ ! -e go ]; do sleep 0.1; done; exit 3"
        try await withForgottenRun("sh", "-c", script) { fleet, run in
            _ = try await fleet.wait(for: "j", .running)
            try await fleet.redis.command("SAVE")
            #expect(try await fleet.control("run", "--", "touch", "\(fleet.directory)/go").exitCode == 0)
            let before = try await fleet.wait(for: "j", .failed)
            let endedAt = try #require(before.endedAt)
            try await eventually("it ended a while ago") { try await fleet.client.serverTime() - endedAt > .seconds(3) }
            try await fleet.redis.restart()
            let after = try await fleet.wait(for: "j", .failed)
            #expect(after.run == run && after.exitCode == 3 && after.attempt == 1)
            // When it has ended, not when that was written.
            let later = try #require(after.endedAt) - endedAt
            #expect(later < .milliseconds(2_500) && later > .milliseconds(-2_500), "\(later)")
            #expect(try await fleet.control("cancel", "j").exitCode == 4)
        }
    }
}
