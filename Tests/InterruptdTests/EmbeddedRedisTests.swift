import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import Synchronization
import Testing

@testable import interruptd

@Suite(.timeLimit(.minutes(2)), .serialized) struct `the embedded Redis of interruptd` {
    @Test func `without redis-server, or what locks its files, it says in one line how to get it`() async throws {
        try await withTemporaryDirectory { directory in
            for (program, package) in [("flock", "util-linux"), ("redis-server", "redis-server")] {
                let (status, lines) = try await withDaemon(in: directory, path: directory, waitsUntilReady: false) {
                    _ in
                }
                #expect(status == .exited(69))
                #expect(
                    lines == [
                        "error: \(program) is not installed",
                        "hint: apt-get install \(package), or pass --redis URL",
                    ]
                )
                symlink("/usr/bin/flock", "\(directory)/flock")
            }
        }
    }

    @Test func `of two runtime directories one has the data, and the other is told how to find it`() async throws {
        try await withTemporaryDirectory { directory in
            let other = "\(directory)/other"
            try #require(mkdir(other, 0o700) == 0)
            @Sendable func second() async throws -> (TerminationStatus, [String]) {
                try await withDaemon(in: directory, environment: ["XDG_RUNTIME_DIR": other], waitsUntilReady: false) {
                    _ in
                }
            }
            let (status, _) = try await withDaemon(in: directory) { first in
                let (status, lines) = try await second()
                #expect(status == .exited(69))
                #expect(
                    lines == [
                        "error: another redis-server uses \(directory)/state/redis-interrupt: "
                            + "a second one on its files would spoil the record",
                        "hint: 'pgrep -af redis-server' shows its socket: start interruptd with the XDG_RUNTIME_DIR that "
                            + "belongs to it or with another --state-dir, or end it with 'kill PID'",
                    ]
                )
                first.send(SIGKILL)
            }
            #expect(status == .signaled(SIGKILL))
            // What has outlived its daemon has the data still, and gives it back with its end.
            let servers = processes(in: directory)
            #expect(servers.count == 1)
            #expect(try await second().0 == .exited(69))
            for server in servers.compactMap(Int32.init) { kill(server, SIGTERM) }
            try await eventually("it has ended") { processes(in: directory) == [] }
            let (after, _) = try await withDaemon(in: directory, environment: ["XDG_RUNTIME_DIR": other]) { daemon in
                await daemon.lines.wait(for: "started an embedded Redis")
                daemon.send(SIGTERM)
            }
            #expect(after == .exited(0))
            #expect(processes(in: directory) == [])
        }
    }

    @Test func `is another one for a namespace in braces, with data of its own`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, _) = try await withDaemon(["--namespace", "x"], in: directory) { first in
                let (status, lines) = try await withDaemon(["--namespace", "{x}"], in: directory) { second in
                    second.send(SIGTERM)
                }
                #expect(status == .exited(0), "\(lines)")
                first.send(SIGTERM)
            }
            #expect(status == .exited(0))
            expectNothingLeft(in: directory)
        }
    }

    @Test func `that is there and does not answer is left alone, with no second one beside it`() async throws {
        try await withTemporaryDirectory { directory in
            _ = try await withDaemon(in: directory) { $0.send(SIGKILL) }
            let servers = processes(in: directory)  // what outlives its daemon
            let server = try #require(servers.count == 1 ? Int32(servers[0]) : nil)
            kill(server, SIGSTOP)
            defer { kill(server, SIGCONT) }
            let (status, lines) = try await withDaemon(in: directory, waitsUntilReady: false) { _ in }
            #expect(status == .exited(69))
            let socket = "\(directory)/interrupt/interrupt.sock"
            #expect(
                lines == [
                    "error: what is at \(socket) does not answer as an embedded Redis that is ready: "
                        + "a second one on its files would spoil the record",
                    "hint: find it with 'pgrep -af \(socket)'; let it go on with 'kill -CONT PID' if it is stopped, "
                        + "or end it with 'kill -9 PID', and start interruptd again",
                ]
            )
            #expect(processes(in: directory) == servers)
            kill(server, SIGCONT)
            let (after, _) = try await withDaemon(in: directory) { daemon in
                await daemon.lines.wait(for: "using the embedded Redis that is there")
                daemon.send(SIGTERM)
            }
            #expect(after == .exited(0))
            expectNothingLeft(in: directory)
        }
    }

    @Test func `that does not answer when its daemon ends is left as it is, which is said`() async throws {
        try await withTemporaryDirectory { directory in
            let socket = "\(directory)/interrupt/interrupt.sock"
            let (status, lines) = try await withDaemon(["--grace", "1s"], in: directory) { daemon in
                let server = processes(in: directory).compactMap(Int32.init).first {
                    ProcessStatus(of: $0)?.name == "redis-server"
                }
                try await stop(try #require(server))
                daemon.send(SIGTERM)
            }
            let servers = processes(in: directory).compactMap(Int32.init)
            #expect(servers.count == 1)
            for server in servers { kill(server, SIGCONT) }
            #expect(status == .exited(0))
            let said = lines.filter { $0.contains("the embedded Redis does not end, and is left as it is") }
            #expect(said.count == 1 && said[0].contains(socket), "\(lines)")
            let (after, _) = try await withDaemon(in: directory) { daemon in
                await daemon.lines.wait(for: "using the embedded Redis that is there")
                daemon.send(SIGTERM)
            }
            #expect(after == .exited(0))
            expectNothingLeft(in: directory)
        }
    }

    @Test func `has no port, and a socket and a directory that are for its user alone`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let (status, _) = try await withDaemon(in: directory) { daemon in
                let place = "\(directory)/interrupt"
                let endpoint = RedisEndpoint(address: .unix(path: "\(place)/interrupt.sock"))
                let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
                for setting in ["port", "tls-port"] {
                    let reply = try await connection.send(RedisCommand("CONFIG", "GET", setting))
                    #expect(reply.array?.compactMap(\.text) == [setting, "0"])
                }
                connection.close()
                #expect(mode(of: place) == 0o700 && mode(of: "\(place)/interrupt.sock") == 0o600)
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            expectNothingLeft(in: directory)
        }
    }

    private func mode(of path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test(.enabled(if: geteuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0, "only root can become another user"))
    func `lets no other user in, neither by its directory nor by its socket`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, _) = try await withDaemon(in: directory) { daemon in
                let place = "\(directory)/interrupt"
                let socket = "\(place)/interrupt.sock"
                // What is above the two is open to everybody, as it may be elsewhere.
                try #require(chmod(directory, 0o755) == 0)
                #expect(try await said(to: socket).contains("Permission denied"))
                try #require(chmod(place, 0o755) == 0)
                #expect(try await said(to: socket).contains("Permission denied"))
                // With both open, somebody else does get in.
                try #require(chmod(socket, 0o666) == 0)
                #expect(try await said(to: socket) == "PONG\n")
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            expectNothingLeft(in: directory)
        }
    }

    /// What somebody else is told who asks the server at this socket.
    private func said(to socket: String) async throws -> String {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"]
        let result = try await Subprocess.run(
            .name("setpriv"),
            arguments: Arguments(nobody + ["redis-cli", "-s", socket, "ping"]),
            output: .string(limit: 4_096),
            error: .string(limit: 4_096)
        )
        return result.standardOutput + result.standardError
    }

    @Test func `a second daemon uses the Redis of the first, and one after a SIGKILL takes it over`() async throws {
        try await withTemporaryDirectory { directory in
            let job = Mutex<Int32>(0)
            let (killed, _) = try await withDaemon(["--name", "one"], in: directory) { first in
                await first.lines.wait(for: "started an embedded Redis")
                let (status, lines) = try await withDaemon(["--name", "two"], in: directory) { second in
                    second.send(SIGTERM)
                }
                #expect(status == .exited(0))
                #expect(lines.contains { $0.contains("using the embedded Redis that is there") })
                let (_, sameName) = try await withDaemon(["--name", "one"], in: directory, waitsUntilReady: false) {
                    _ in
                }
                #expect(sameName.contains { $0.contains("the worker's name is in use by process \(first.pid)") })
                let left = try await first.start(deaf, as: "left").pid
                job.withLock { $0 = left }
                first.send(SIGKILL)
            }
            #expect(killed == .signaled(SIGKILL))
            let left = job.withLock { $0 }
            try await eventually("the guard has ended its job") { !isRunning(left) }
            let (status, lines) = try await withDaemon(["--name", "one"], in: directory) { third in
                await third.lines.wait(for: "using the embedded Redis that is there")
                try await eventually("the left run is lost") {
                    (try? await third.client?.newestRun(of: try Name("left")))?.state == .lost
                }
                third.send(SIGTERM)
            }
            #expect(status == .exited(0), "\(lines)")
            expectNothingLeft(in: directory)
        }
    }

    @Test func `that somebody kills is started again, with what was on record`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await withDaemon(in: directory) { daemon in
                await daemon.lines.wait(for: "started an embedded Redis")
                let run = try await daemon.start(
                    "until [ -e '\(directory)/go' ]; do read -t 0.02 <> <(:); done; true",
                    as: "a"
                ).run
                let socket = "\(directory)/interrupt/interrupt.sock"
                let server = try #require(
                    processes(in: directory).compactMap(Int32.init).first { pid in
                        let line = try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)
                        return line?.contains("unixsocket:\(socket)") ?? false
                    }
                )
                // What it has answered is in its file, even if the disk is busy.
                let endpoint = RedisEndpoint(address: .unix(path: socket))
                let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
                try await connection.send(RedisCommand("CONFIG", "SET", "appendfsync", "always"))
                connection.close()
                kill(server, SIGKILL)
                await daemon.lines.wait(for: "started an embedded Redis", count: 2)
                #expect(FileManager.default.createFile(atPath: "\(directory)/go", contents: nil))
                try await eventually("the run has ended on record") {
                    // The test's own connection may have been lost just now.
                    (try? await daemon.client?.record(of: run))?.state == .completed
                }
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0), "\(lines)")
            #expect(lines.contains { $0.contains("the embedded Redis has ended, and is started again") })
            expectNothingLeft(in: directory)
        }
    }
}
