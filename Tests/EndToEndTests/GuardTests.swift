import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// What keeps hold of trees: where there are cgroups, and without.
private enum Hold: CaseIterable, CustomTestStringConvertible {
    case cgroups, supervisors

    var arguments: [String] { ["--concurrency", "2"] + (self == .cgroups ? [] : ["--without-cgroups"]) }
    var testDescription: String { "\(self)" }
}

/// Deaf processes, in the leader's session and out of it, one without the run's variables.
private let stubborn = """
    trap '' TERM INT HUP
    (setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' &)
    (env -i PATH="$PATH" MARK="$MARK" setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' &)
    echo ready
    while :; do sleep 1000; done
    """

@Suite(.timeLimit(.minutes(3))) struct `The trees of a worker` {
    /// A worker with one stubborn job; `body` gets the daemon's pid, its guard's, and a question: what is left of the job.
    private func withStubbornJob(
        _ hold: Hold,
        _ body:
            @Sendable (Fleet, _ daemon: Int32, _ guardian: Int32, _ left: @Sendable () -> [Int32]) async throws -> Void
    ) async throws {
        try await withFleet { fleet in
            let mark = "MARK=\(UUID().uuidString)"
            try await fleet.worker("w1", hold.arguments) { daemon in
                let submitted = try await fleet.control(
                    ["submit", "--id", "j", "--env", mark, "--", "sh", "-c", stubborn]
                )
                try #require(submitted.exitCode == 0, "\(submitted)")
                try await eventually("it is ready") { try await fleet.output(of: "j") == "ready\n" }
                let guardian = try #require(self.guardian(of: fleet))
                try await eventually("it has started all of them") { processes(with: mark).count >= 5 }
                try await body(fleet, daemon, guardian) { processes(with: mark) }
            }
        }
    }

    /// The guard of the fleet's worker: it inherits the variables of its daemon.
    private func guardian(of fleet: Fleet) -> Int32? {
        processes(with: "XDG_RUNTIME_DIR=\(fleet.directory)").first { pid in
            let name = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)
            return name == "interrupt-guard\n"
        }
    }

    private func isGone(_ pid: Int32) -> Bool { kill(pid, 0) == -1 && errno == ESRCH }

    /// Once, and twice.
    @Test(arguments: Hold.allCases, [1, 2])
    private func `are gone with the worker that was asked to end, and on record as ended by that`(
        hold: Hold,
        times: Int
    ) async throws {
        try await withStubbornJob(hold) { fleet, daemon, guardian, left in
            for _ in 0..<times { kill(daemon, SIGTERM) }
            let record = try await fleet.wait(for: "j", .interrupted)
            #expect(record.reason == .systemShutdown && record.confirmedAt != nil && record.termSignal == SIGKILL)
            #expect(left().isEmpty)
            try await eventually("the guard has gone") { isGone(guardian) }
        }
    }

    /// Killed, and crashed.
    @Test(arguments: Hold.allCases, [SIGKILL, SIGSEGV, SIGABRT])
    private func `are gone soon after the worker died, and recorded as lost by the next`(
        hold: Hold,
        signal: Int32
    ) async throws {
        try await withStubbornJob(hold) { fleet, daemon, guardian, left in
            let died = ContinuousClock.now
            kill(daemon, signal)
            try await eventually("nothing of it is left", within: .seconds(20)) { left().isEmpty }
            print("\(hold): nothing was left \(ContinuousClock.now - died) after signal \(signal)")
            try await eventually("the guard has gone") { isGone(guardian) }
            try await fleet.worker("w1", hold.arguments) { _ in
                let record = try await fleet.wait(for: "j", .lost)
                #expect(record.error?.contains("its worker died") == true)
                let next = try await fleet.control("run", "--id", "next", "--", "echo", "well")
                #expect(next.text == "well\n")
            }
        }
    }

    @Test(arguments: Hold.allCases)
    private func `are ended by the next worker at the latest when the guard was killed with it`(hold: Hold) async throws
    {
        try await withStubbornJob(hold) { fleet, daemon, guardian, left in
            try await stop(daemon)  // so that it does not see the guard go
            kill(guardian, SIGKILL)
            kill(daemon, SIGKILL)
            try await fleet.worker("w1", hold.arguments) { _ in
                try await fleet.wait(for: "j", .lost)
                #expect(left().isEmpty)
            }
        }
    }

    @Test(arguments: Hold.allCases)
    private func `are ended when the guard was killed, and the worker goes on with another`(hold: Hold) async throws {
        try await withStubbornJob(hold) { fleet, _, guardian, left in
            kill(guardian, SIGKILL)
            if hold == .supervisors {
                // The supervisor has the tree, and needs no guard for it.
                #expect(try await fleet.control("kill", "j").exitCode == 0)
                try await fleet.wait(for: "j", .interrupted)
            } else {
                let record = try await fleet.wait(for: "j", .failed)
                #expect(record.error == "interrupt-launch was ended by somebody; what was left of it was ended")
            }
            #expect(left().isEmpty)
            let next = try await fleet.control("run", "--id", "next", "--", "echo", "well")
            #expect(next.text == "well\n", "\(next)")
        }
    }

    @Test func `are ended when a job kills its own supervisor`() async throws {
        try await withStubbornJob(.supervisors) { fleet, _, _, left in
            let parent = "(setsid sleep 1000 &); echo ready; kill -KILL $PPID; sleep 1000"
            let ended = try await fleet.control("run", "--id", "k", "--env", "MARK=k", "--", "sh", "-c", parent)
            #expect(ended.exitCode == 125, "\(ended)")
            let record = try await fleet.wait(for: "k", .failed)
            #expect(record.error == "its supervisor was ended by somebody; what was left of it was ended")
            #expect(processes(with: "INTERRUPT_RUN=\(record.run)").isEmpty)
            #expect(left().count >= 5, "other jobs are none of its business")
        }
    }

    @Test func `are said to be held in one way or the other by 'workers'`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                try await fleet.worker("w2", ["--without-cgroups"]) { _ in
                    let text = try await fleet.control("workers", "-o", "json").text
                    #expect(text.contains("\"containment\":\"cgroups in /sys/fs/cgroup"))
                    #expect(text.contains("\"containment\":\"supervisors, no cgroups: switched off\""))
                }
            }
        }
    }
}
