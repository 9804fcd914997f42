import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
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
            try await eventually("its child has become sleep") { ProcessStatus(of: pid)?.name == "sleep" }
            let cancelled = try await fleet.control("cancel", "helper", "--grace", "100ms", "--wait", "8s")
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

/// A small file system that can be frozen: who writes there then hangs in the kernel, whatever it is sent.
private struct FreezableDisk {
    static let isPossible =
        geteuid() == 0 && access("/dev/loop-control", W_OK) == 0
        && ["fsfreeze", "mkfs.ext4"].allSatisfy { access("/usr/sbin/\($0)", X_OK) == 0 }

    let path: String

    /// Runs `body` with one that is thawed and gone afterwards.
    static func with(_ directory: String, _ body: (FreezableDisk) async throws -> Void) async throws {
        let disk = FreezableDisk(path: "\(directory)/disk")
        let script = """
            truncate -s 32M '\(directory)/image' && mkfs.ext4 -q '\(directory)/image' && mkdir '\(disk.path)' \
            && mount -o loop '\(directory)/image' '\(disk.path)'
            """
        try await disk.shell(script)
        do {
            try await body(disk)
        } catch {
            try? await disk.shell("fsfreeze -u '\(disk.path)'")  // it may be thawed by now
            try await disk.shell("umount -l '\(disk.path)'")
            throw error
        }
        try await disk.shell("umount '\(disk.path)'")
    }

    func freeze() async throws { try await shell("fsfreeze -f '\(path)'") }
    func thaw() async throws { try await shell("fsfreeze -u '\(path)'") }

    private func shell(_ script: String) async throws {
        let result = try await run(
            .path("/bin/sh"),
            arguments: ["-c", script],
            output: .discarded,
            error: .string(limit: 10_000)
        )
        try #require(result.terminationStatus.isSuccess, "\(result.standardError)")
    }
}

@Suite(
    .timeLimit(.minutes(2)),
    .enabled(if: FreezableDisk.isPossible, "only root can freeze a file system, and not in every container")
)
struct `A process that hangs in the kernel` {
    @Test(arguments: [[], ["--without-cgroups"]])
    func `is named with where it waits, holds up nobody, and is confirmed when it is gone`(hold: [String]) async throws
    {
        try await withFleet { fleet in
            try await FreezableDisk.with(fleet.directory) { disk in
                try await fleet.worker("w1", hold + ["--concurrency", "2"]) { _ in
                    try await disk.freeze()
                    let script = "echo ready; echo x > '\(disk.path)/file'"
                    _ = try await fleet.control("submit", "--id", "stuck", "--", "sh", "-c", script)
                    let running = try await fleet.wait(for: "stuck", .running)
                    let client = try await fleet.client
                    try await eventually("it hangs") {
                        guard let pid = try await client.record(of: running.run)?.pid else { return false }
                        return try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8).contains(
                            "D (disk sleep)"
                        )
                    }
                    let killed = try await fleet.control("kill", "stuck", "--wait", "8s")
                    #expect(killed.exitCode == 5, "\(killed)")
                    #expect(killed.errors.contains(" (sh) waits in the kernel in "), "\(killed)")
                    // One slot is its own as long as it is there; the other one works.
                    #expect(try await fleet.control("run", "--", "true").exitCode == 0)
                    let cancelling = try await fleet.wait(for: "stuck", .cancelling)
                    #expect(cancelling.confirmedAt == nil)
                    try await disk.thaw()
                    let record = try await fleet.wait(for: "stuck", .interrupted)
                    #expect(record.confirmedAt != nil && record.termSignal == SIGKILL)
                }
            }
        }
    }

    @Test func `does not keep the others of its run from going on when a pause is taken back`() async throws {
        try await withFleet { fleet in
            try await FreezableDisk.with(fleet.directory) { disk in
                try await fleet.worker("w1") { _ in
                    try await disk.freeze()
                    let script = """
                        sh -c "echo x > '\(disk.path)/file'" & echo $!
                        while :; do echo >> '\(fleet.directory)/ticks'; sleep 0.01; done
                        """
                    _ = try await fleet.control("submit", "--id", "stuck", "--", "sh", "-c", script)
                    try await eventually("one hangs") {
                        let pid = Int32(try await fleet.output(of: "stuck").dropLast())
                        return pid.flatMap { ProcessStatus(of: $0) }?.state == "D"
                    }
                    let ticks = { try Data(contentsOf: URL(fileURLWithPath: "\(fleet.directory)/ticks")).count }
                    _ = try await fleet.control("pause", "--no-wait", "stuck")
                    var (before, looks) = (-1, 0)
                    try await eventually("the other one stands still") {
                        let now = try ticks()
                        (before, looks) = (now, now == before ? looks + 1 : 0)
                        return looks == 40
                    }
                    _ = try await fleet.control("resume", "--no-wait", "stuck")
                    try await eventually("the other one goes on") { try ticks() > before }
                    try await disk.thaw()
                    let paused = try await fleet.control("pause", "stuck")
                    #expect(paused.exitCode == 0, "\(paused)")
                    _ = try await fleet.control("kill", "stuck")
                    _ = try await fleet.wait(for: "stuck", .interrupted)
                }
            }
        }
    }
}
