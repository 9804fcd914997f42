import Foundation
import Glibc
import InterruptTesting
import Subprocess
import Testing

@testable import interruptd

/// A socket on which a service manager listens.
private final class ManagerSocket: Sendable {
    let descriptor: Int32

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    /// The lines of all that has been sent.
    func lines() -> [String] {
        var lines: [String] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count <= 0 { return lines }
            lines += String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `interruptd as a service` {
    @Test func `says when it can be used, that it is well, and that it stops`() async throws {
        try await withTemporaryDirectory { directory in
            let manager = try ManagerSocket(path: "\(directory)/notify")
            // Every second: the socket holds ten messages, and what comes then while nobody reads is dropped.
            let environment: [Environment.Key: String] = [
                "NOTIFY_SOCKET": "\(directory)/notify", "WATCHDOG_USEC": "2000000",
            ]
            let (status, _) = try await withDaemon(in: directory, environment: environment) { daemon in
                var told = manager.lines()
                #expect(told.first == "READY=1")
                try await eventually("it has said three times that it is well") {
                    told += manager.lines()
                    return told.count { $0 == "WATCHDOG=1" } >= 3 && told.contains("STATUS=Taking jobs")
                }
                #expect(!told.contains("STOPPING=1"))
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(manager.lines().contains("STOPPING=1"))
        }
    }

    @Test func `does not tell anybody where there is no manager, or the watchdog is not for it`() {
        #expect(ServiceNotifier(environment: [:]) == nil)
        #expect(ServiceNotifier(environment: ["NOTIFY_SOCKET": "relative"]) == nil)
        let other = ServiceNotifier(
            environment: ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]
        )
        #expect(other != nil && other?.watchdogInterval == nil)
        let own = ServiceNotifier(
            environment: ["NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000", "WATCHDOG_PID": "\(getpid())"]
        )
        #expect(own?.watchdogInterval == .microseconds(1_500))
        for text in ["0", "-1", "soon"] {
            let never = ServiceNotifier(environment: ["NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": text])
            #expect(never != nil && never?.watchdogInterval == nil)
        }
    }

    @Test func `may have more files open than its jobs, which get the limit that it was started with`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, _) = try await withDaemon(in: directory, openFiles: 500) { daemon in
                let limits = try String(contentsOfFile: "/proc/\(daemon.pid)/limits", encoding: .utf8)
                let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
                #expect(try #require(line?.split(separator: " ").compactMap { Int($0) }.first) > 500)
                let job = try await daemon.start("ulimit -Sn", as: "limit")
                await daemon.lines.wait(for: "ended exit=\"0\" job=\"limit\"")
                let text = try String(contentsOfFile: "\(directory)/state/output/\(job.run).log", encoding: .utf8)
                #expect(text == "500\n")
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
        }
    }

    private static let unit = String(#filePath.split(separator: "/Tests/")[0]) + "/Docs/interruptd.service"

    @Test func `has a unit that says how it starts, how it stops and how it is watched`() throws {
        let unit = try String(contentsOfFile: Self.unit, encoding: .utf8)
        for line in ["Type=notify", "Delegate=yes", "KillMode=mixed", "TimeoutStopSec=45s", "WatchdogSec=30s"] {
            #expect(unit.split(separator: "\n").contains(Substring(line)))
        }
    }

    @Test(.enabled(if: access("/usr/bin/systemd-analyze", X_OK) == 0, "systemd is not installed"))
    func `has a unit that systemd understands`() async throws {
        try await withTemporaryDirectory { directory in
            let program = "/usr/local/bin/interruptd"
            let text = try String(contentsOfFile: Self.unit, encoding: .utf8)
            try #require(text.contains("ExecStart=\(program) "))
            let unit = text.replacing(program, with: "\(products)/interruptd")
            #expect(try await complaints(about: unit, in: directory) == [])
            // It does look.
            let wrong = unit.replacing("WatchdogSec=30s", with: "WatchDogSec=30s")
            let said = try await complaints(about: wrong, in: directory)
            #expect(said.contains { $0.contains("WatchDogSec") }, "\(said)")
        }
    }

    /// What systemd says of a unit with this text. What it says of others is theirs.
    private func complaints(about text: String, in directory: String) async throws -> [String] {
        let file = "\(directory)/interruptd.service"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let result = try await Subprocess.run(
            .name("systemd-analyze"),
            arguments: ["--man=no", "verify", file],
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        let lines = (result.standardOutput + result.standardError).split(separator: "\n").map(String.init)
        return lines.filter { $0.contains("interruptd.service") }
    }
}
