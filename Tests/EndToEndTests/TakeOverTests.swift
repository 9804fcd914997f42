import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// Deaf, with a process out of its session, at the first try; the second one succeeds.
private let job = """
    trap '' TERM
    (setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' &)
    echo "attempt $INTERRUPT_ATTEMPT began"
    if [ "$INTERRUPT_ATTEMPT" = 2 ]; then exit 0; fi
    while :; do sleep 1000; done
    """

@Suite(.timeLimit(.minutes(3))) struct `A job that may be tried again` {
    /// Short leases, so that nobody waits for long: silent after 6.6 s, fenced after 4.8 s.
    private let arguments = ["--lease", "6s", "--concurrency", "2"]

    private func withTwoWorkers(
        _ more: [String] = [],
        _ body: @Sendable (Fleet, _ first: Int32) async throws -> Void
    ) async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", arguments + more) { first in
                for (id, retries) in [("leased", "1"), ("plain", "0")] {
                    let submitted = try await fleet.control(
                        "submit",
                        "--id",
                        id,
                        "--retries",
                        retries,
                        "--",
                        "sh",
                        "-c",
                        job
                    )
                    try #require(submitted.exitCode == 0, "\(submitted)")
                    try await eventually("it has begun") { try await fleet.output(of: id) == "attempt 1 began\n" }
                }
                try await fleet.worker("w2", arguments) { _ in try await body(fleet, first) }
            }
        }
    }

    /// Whether a process of the run is left.
    private func isAlive(_ record: RunRecord) -> Bool { !processes(with: "INTERRUPT_RUN=\(record.run)").isEmpty }

    @Test(arguments: [["--without-cgroups"], []])
    func `is fenced by its guard when its worker is stopped, and only then tried by another`(hold: [String])
        async throws
    {
        try await withTwoWorkers(hold) { fleet, first in
            let client = try await fleet.client
            let old = try await fleet.wait(for: "leased", .running)
            let plain = try await fleet.wait(for: "plain", .running)
            try await stop(first)
            try await eventually("it is taken over") {
                guard try await client.record(of: old.run)?.state != .running else { return false }
                #expect(!isAlive(old), "its processes are gone before anybody else may have the job")
                return true
            }
            #expect(isAlive(plain), "nothing happens to a job that is not to be tried again")
            let done = try await fleet.wait(for: "leased", .completed)
            #expect(done.attempt == 2 && done.worker == "w2" && done.previousRun == old.run)
            let lost = try #require(try await client.record(of: old.run))
            #expect(lost.state == .lost && lost.nextRun == done.run)
            #expect(lost.error?.contains("taken over by 'w2'") == true)
            let silent = try #require(try await client.record(of: plain.run))
            #expect(silent.state == .running && silent.silentSince != nil)
            #expect(try await fleet.control("wait", "leased").exitCode == 0)

            // It comes back, keeps what is still its own, and touches nothing else.
            kill(first, SIGCONT)
            try await eventually("it is heard of again") { try await client.record(of: plain.run)?.silentSince == nil }
            #expect(try await client.record(of: done.run)?.state == .completed)
            #expect(isAlive(plain))
            #expect(try await fleet.control("kill", "plain").exitCode == 0)
            let events = try await client.history(limit: 1_000) { $0.fields["worker"] == "w1" }.map(\.event)
            #expect(events.filter { $0 == "worker_silent" }.count == 1)
            #expect(events.filter { $0 == "worker_back" }.count == 1)
        }
    }

    @Test func `is tried by another when its worker was killed, while others are not taken over`() async throws {
        try await withTwoWorkers { fleet, first in
            let client = try await fleet.client
            let plain = try await fleet.wait(for: "plain", .running)
            kill(first, SIGKILL)
            let done = try await fleet.wait(for: "leased", .completed)
            #expect(done.attempt == 2 && done.worker == "w2")
            #expect(try await client.record(of: plain.run)?.state == .running)
            // Nobody has seen it end: somebody has to say so.
            let status = try await fleet.control("status", "plain").text
            #expect(status.contains("silent"))
            let forgotten = try await fleet.control("forget", plain.run.rawValue)
            #expect(forgotten.exitCode == 0, "\(forgotten)")
            #expect(try await client.record(of: plain.run)?.state == .lost)
            #expect(try await fleet.control("run", "--id", "plain", "--", "echo", "again").text == "again\n")
        }
    }

    @Test func `is nobody else's while Redis is restarted within the lease`() async throws {
        try await withTwoWorkers { fleet, _ in
            let old = try await fleet.wait(for: "leased", .running)
            for _ in 0..<2 {
                let before = try await fleet.client.workers()
                try await fleet.redis.restart()
                try await eventually("both are heard of again") {
                    let now = try await fleet.client.workers()
                    return zip(before, now).allSatisfy { $0.name == $1.name && $0.heartbeat < $1.heartbeat }
                }
            }
            #expect(try await fleet.client.record(of: old.run)?.state == .running)
            #expect(isAlive(old))
            #expect(try await fleet.client.history(limit: 1_000).allSatisfy { $0.event != "worker_silent" })
            #expect(try await fleet.control("kill", "leased", "plain", "--yes").exitCode == 0)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A job that fails at first` {
    @Test func `is followed by run and wait to the try that succeeds, and every try is on record`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let script = "echo try $INTERRUPT_ATTEMPT; [ $INTERRUPT_ATTEMPT = 3 ] || exit 7"
                let ended = try await fleet.control("run", "--id", "j", "--retries", "5", "--", "sh", "-c", script)
                #expect(ended.exitCode == 0, "\(ended)")
                #expect(ended.text == "try 1\ntry 2\ntry 3\n")
                #expect(ended.errors.contains("exit code 7; trying again (attempt 2 of 6)"))
                let record = try await fleet.wait(for: "j", .completed)
                #expect(record.attempt == 3)
                let failing = try await fleet.control("run", "--id", "k", "--retries", "1", "--", "sh", "-c", "exit 7")
                #expect(failing.exitCode == 7)
                #expect(try await fleet.control("wait", "k").exitCode == 7)
            }
        }
    }

    @Test func `is not tried again once it was cancelled while it waited`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { pid in
                let submitted = try await fleet.control("submit", "--id", "j", "--retries", "9", "--", "false")
                #expect(submitted.exitCode == 0)
                let client = try await fleet.client
                let name = try Name("j")
                try await eventually("it waits to be tried again", every: .milliseconds(50)) {
                    // So that it still waits when it is cancelled.
                    try await stop(pid)
                    let record = try await client.newestRun(of: name)
                    if let record, record.attempt >= 1, record.state == .queued { return true }
                    kill(pid, SIGCONT)
                    return false
                }
                let cancelled = try await fleet.control("cancel", "j")
                #expect(cancelled.exitCode == 0, "\(cancelled)")
                kill(pid, SIGCONT)
                #expect(try await fleet.control("wait", "j").exitCode == 130)
            }
        }
    }
}
