import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

private let nobody: uid_t = 65_534

@Suite(.timeLimit(.minutes(2)), .enabled(if: geteuid() == 0, "only root can run a worker as somebody else"))
struct `A process that the worker may not signal` {
    /// Runs `body` beside a worker of nobody's. The program that it is given runs its arguments as root, for anybody.
    private func withWorkerOfNobody(_ body: @Sendable (Fleet, String) async throws -> Void) async throws {
        try await withFleet(redis: ["--unixsocketperm", "777"]) { fleet in
            let asRoot = "\(fleet.directory)/as-root"
            try FileManager.default.copyItem(atPath: "/usr/bin/setpriv", toPath: asRoot)
            try #require(chown(fleet.directory, nobody, nobody) == 0 && chmod(fleet.redis.directory, 0o755) == 0)
            try #require(chmod(asRoot, 0o4755) == 0)
            try await fleet.worker("w1", as: nobody) { _ in try await body(fleet, "\(asRoot) --reuid=0") }
        }
    }

    @Test
    func `is not called stopped: the request stays open, and who asked is told which process and why`() async throws {
        try await withWorkerOfNobody { fleet, asRoot in
            let script = "\(asRoot) sh -c 'echo $$; exec sleep 1000' & wait"
            _ = try await fleet.control("submit", "--id", "helper", "--", "sh", "-c", script)
            try await eventually("its child runs as root") { try await fleet.output(of: "helper").hasSuffix("\n") }
            let pid = try #require(Int32(try await fleet.output(of: "helper").dropLast()))
            defer { kill(pid, SIGKILL) }
            let cancelled = try await fleet.control("cancel", "helper", "--grace", "100ms")
            #expect(cancelled.exitCode == 5, "\(cancelled)")
            let why = "\(pid) (sleep) not permitted: runs as uid 0"
            #expect(cancelled.errors.contains("Failed to interrupt command: still there after SIGKILL: \(why)"))
            let killed = try await fleet.control("kill", "helper", "--wait", "300ms")
            #expect(killed.exitCode == 5, "\(killed)")
            for text in [cancelled.text, killed.text] {
                #expect(!text.contains("Command interrupted") && !text.contains("Execution terminated"))
            }
            #expect(try await fleet.wait(for: "helper", .cancelling).confirmedAt == nil)
            kill(pid, SIGKILL)
            let record = try await fleet.wait(for: "helper", .interrupted)
            #expect(record.confirmedAt != nil, "it is confirmed as soon as it is true")
        }
    }
}
