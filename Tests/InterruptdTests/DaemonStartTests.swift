import Foundation
import Glibc
import InterruptTesting
import Subprocess
import Testing

@testable import interruptd

@Suite(.timeLimit(.minutes(2)), .serialized) struct `interruptd starts` {
    /// Runs a daemon that is to end by itself; returns how, and what it said.
    private func outcome(_ arguments: [String], in directory: String) async throws -> (TerminationStatus, [String]) {
        var outcome: (status: TerminationStatus, lines: [String])
        var attempts = 0
        let isLate: @Sendable ([String]) -> Bool = { $0.contains { $0.contains("Redis cannot be reached yet") } }
        // A Redis that has not answered in time is waited for, which says nothing about these settings.
        repeat {
            attempts += 1
            outcome = try await withDaemon(arguments, in: directory, waitsUntilReady: false) { daemon in
                try await eventually("it ends by itself") {
                    if isLate(daemon.lines.all) { daemon.send(SIGKILL) }
                    return !isRunning(daemon.pid)
                }
            }
        } while isLate(outcome.lines) && attempts < 3
        return outcome
    }

    @Test func `wrong usage is an error and a hint, a line each`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await outcome(["--unheard-of"], in: directory)
            #expect(status == .exited(64))
            #expect(lines == ["error: Unknown option '--unheard-of'", "hint: run 'interruptd --help'"])
        }
    }

    @Test func `a database that does not exist ends the start`() async throws {
        try await withTemporaryDirectory { directory in
            try await withRedis(tcp: true) { redis in
                let (status, lines) = try await outcome(
                    ["--redis", "redis://localhost:\(redis.port!)/99"],
                    in: directory
                )
                #expect(status == .exited(69))
                #expect(lines.count == 2, "\(lines)")
                #expect(lines.first?.contains("database 99: ERR DB index is out of range") == true)
                #expect(lines.last?.hasPrefix("hint: ") == true)
            }
        }
    }

    @Test func `a certificate of a foreign authority ends the start`() async throws {
        try await withTemporaryDirectory { directory in
            let (ours, foreign) = ("\(directory)/ours", "\(directory)/foreign")
            mkdir(ours, 0o700)
            mkdir(foreign, 0o700)
            let authority = try await RedisCertificates.make(in: foreign).authority
            try await withRedis(certificates: try await RedisCertificates.make(in: ours)) { redis in
                let (status, lines) = try await outcome(
                    ["--redis", "rediss://localhost:\(redis.port!)", "--tls-ca", authority],
                    in: directory
                )
                #expect(status == .exited(69))
                #expect(lines.count == 2, "\(lines)")
                #expect(lines.first?.contains("not signed by an accepted authority") == true)
                #expect(lines.last?.contains("--tls-ca") == true)
            }
        }
    }

    @Test func `a TLS file that is not there is wrong usage, and named`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await outcome(
                ["--redis", "rediss://localhost", "--tls-ca", "/nowhere/ca.crt"],
                in: directory
            )
            #expect(status == .exited(64))
            #expect(lines.first == "error: --tls-ca: /nowhere/ca.crt: No such file or directory")
        }
    }

    @Test func `a key of another certificate ends the start`() async throws {
        try await withTemporaryDirectory { directory in
            let files = try await RedisCertificates.make(in: directory)
            try await withRedis(certificates: files) { redis in
                let (status, lines) = try await outcome(
                    [
                        "--redis", "rediss://localhost:\(redis.port!)", "--tls-ca", files.authority, "--tls-cert",
                        "\(directory)/client.crt", "--tls-key", files.serverKey,
                    ],
                    in: directory
                )
                #expect(status == .exited(69))
                #expect(lines.first?.contains("certificate and key do not belong together") == true, "\(lines)")
            }
        }
    }

    @Test func `a wrong password ends the start, with where to look`() async throws {
        try await withTemporaryDirectory { directory in
            try await withRedis(arguments: ["--requirepass", "right"]) { redis in
                let (status, lines) = try await outcome(
                    ["--redis", "redis+unix://:wr0ng@\(redis.socketPath)"],
                    in: directory
                )
                #expect(status == .exited(77))
                #expect(lines.last == "hint: check the user in --redis and the file of --redis-password-file")
                #expect(lines.count == 2 && !lines.joined().contains("wr0ng"))
            }
        }
    }

    @Test func `a cluster ends the start when the namespace has no braces, in one line that says what to do`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            try await withCluster { cluster in
                let (status, lines) = try await outcome(
                    ["--redis", "redis://\(cluster.masters[1].node)"],
                    in: directory
                )
                #expect(status == .exited(64))
                #expect(lines.count == 1 && lines[0].contains("pass --namespace '{interrupt}'"), "\(lines)")
            }
        }
    }

    @Test func `a Redis that is not there yet is waited for, and said once, not once a connection`() async throws {
        try await withTemporaryDirectory { directory in
            let start = ContinuousClock.now
            let (status, lines) = try await withDaemon(
                ["--redis", "redis+unix://\(directory)/none.sock"],
                in: directory,
                waitsUntilReady: false
            ) { daemon in
                await daemon.lines.wait(for: "no connection to Redis", count: 4)
                #expect(ContinuousClock.now - start >= .seconds(3), "one line a second, however many connections")
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(lines.count { $0.contains("cannot enter yet") } <= 1, "\(lines)")
        }
    }
}
