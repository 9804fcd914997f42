import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Logging
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import interruptd

/// The lines that a daemon has written to standard error; a test waits here for one.
private final class Lines: Sendable {
    private struct State {
        var lines: [String] = []
        var hasEnded = false
        var waiters: [(text: String, count: Int, continuation: CheckedContinuation<Bool, Never>)] = []
        func has(_ text: String, _ count: Int) -> Bool { lines.count { $0.contains(text) } >= count }
    }

    private let state = Mutex(State())

    var all: [String] { state.withLock { $0.lines } }

    func take(_ line: String?) {
        let due = state.withLock { state in
            if let line { state.lines.append(line) } else { state.hasEnded = true }
            let now = state
            let due = now.waiters.filter { now.hasEnded || now.has($0.text, $0.count) }
            state.waiters.removeAll { now.hasEnded || now.has($0.text, $0.count) }
            return due.map { ($0.continuation, now.has($0.text, $0.count)) }
        }
        for (continuation, isThere) in due { continuation.resume(returning: isThere) }
    }

    /// Waits for `count` lines that contain `text`; records an issue when the output ends without.
    func wait(for text: String, count: Int = 1) async {
        let isThere = await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.has(text, count) { return true }
                if state.hasEnded { return false }
                state.waiters.append((text, count, continuation))
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
        if !isThere { Issue.record("no line with '\(text)' in \(all)") }
    }
}

/// One `interruptd` with a home of its own.
private struct RunningDaemon: Sendable {
    let pid: Int32
    let lines: Lines
    let client: InterruptClient?
    let directory: String

    func send(_ signal: Int32) { kill(pid, signal) }

    /// Submits a job, and returns its run once the daemon has started it.
    func start(_ script: String, as job: String, grace: Duration? = nil) async throws -> (run: RunID, pid: Int32) {
        var submission = Submission(
            job: try Name(job),
            queue: try Name("default"),
            command: ["bash", "-c", script].map { Array($0.utf8) }
        )
        submission.gracePeriod = grace
        let result = try await client?.submit(submission)
        let run: RunID? = if case .queued(let run) = result { run } else { nil }
        await lines.wait(for: "started job=\"\(job)\"")
        let line = lines.all.last { $0.contains("started job=\"\(job)\"") } ?? ""
        let pid = line.firstRange(of: "pid=\"").map { line[$0.upperBound...].prefix(while: \.isNumber) }
        return (try #require(run), try #require(pid.flatMap { Int32($0) }))
    }
}

/// The directory of the products: the test bundle stands in it.
private let products: String = {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    let path = bundle.hasPrefix("/") ? bundle : FileManager.default.currentDirectoryPath + "/" + bundle
    return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
}()

@Suite(.timeLimit(.minutes(2)), .serialized) struct `interruptd` {
    /// Runs the daemon on its embedded Redis; returns how it ended and what it said.
    private func withDaemon(
        _ arguments: [String] = [],
        in directory: String,
        path: String? = nil,
        ignoring signals: String? = nil,
        waitsUntilReady: Bool = true,
        _ body: @escaping @Sendable (RunningDaemon) async throws -> Void
    ) async throws -> (status: TerminationStatus, lines: [String]) {
        let lines = Lines()
        let redis = RedisClient(
            endpoint: RedisEndpoint(address: .unix(path: "\(directory)/interrupt/interrupt.sock")),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let client = InterruptClient(commands: redis, keys: try RedisKeys(namespace: "interrupt"))
        var variables: [SystemEnvironmentName: String] = ["XDG_RUNTIME_DIR": directory, "HOME": directory]
        variables["PATH"] = path ?? ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        var options = PlatformOptions()
        options.createSession = true  // as with a terminal of its own
        let program = "\(products)/interruptd"
        let shell = signals.map { ["-c", "trap '' \($0); exec \"$0\" \"$@\"", program] }
        let result = try await Subprocess.run(
            .path(FilePath(shell == nil ? program : "/bin/sh")),
            arguments: Arguments(
                (shell ?? []) + ["--state-dir", "\(directory)/state", "--concurrency", "4"] + arguments
            ),
            environment: .custom(Dictionary(uniqueKeysWithValues: variables.map { (.init(stringLiteral: $0), $1) })),
            platformOptions: options,
            input: .none,
            output: .discarded,
            error: .sequence
        ) { execution in
            let daemon = RunningDaemon(
                pid: execution.processIdentifier.value,
                lines: lines,
                client: client,
                directory: directory
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await redis.run() }
                let reading = Task {
                    for try await line in execution.standardError.strings() { lines.take(line) }
                    lines.take(nil)
                }
                do {
                    if waitsUntilReady { await lines.wait(for: "ready") }
                    try await body(daemon)
                } catch {
                    daemon.send(SIGKILL)
                    throw error
                }
                try await reading.value
                group.cancelAll()
            }
        }
        return (result.terminationStatus, lines.all)
    }

    private typealias SystemEnvironmentName = String

    private func isRunning(_ pid: Int32) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return !text.contains(") Z ")
    }

    /// The processes that know this directory: the daemon, its Redis, its jobs.
    private func processes(in directory: String) -> [String] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.filter { entry in
            guard Int(entry) != nil else { return false }
            let command = (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8)) ?? ""
            return command.contains(directory)
        }
    }

    private func expectNothingLeft(in directory: String) {
        #expect(processes(in: directory) == [])
        #expect(access("\(directory)/interrupt/interrupt.sock", F_OK) != 0)
    }

    private let deaf = "trap '' TERM INT HUP; while :; do sleep 1000; done"

    @Test func `three presses of Ctrl-C drain, terminate and kill, and leave nothing`() async throws {
        try await withTemporaryDirectory { directory in
            let pids = Mutex<[Int32]>([])
            let (status, lines) = try await withDaemon(["--grace", "1h"], in: directory) { daemon in
                let deafJob = try await daemon.start(deaf, as: "deaf")
                let kindJob = try await daemon.start("while :; do sleep 1000; done", as: "kind")
                pids.withLock { $0 = [deafJob.pid, kindJob.pid] }
                #expect(getsid(deafJob.pid) == deafJob.pid)  // the terminal's Ctrl-C does not reach it
                #expect(getsid(deafJob.pid) != getsid(daemon.pid))
                daemon.send(SIGINT)
                await daemon.lines.wait(for: "Graceful Cancellation")
                #expect(isRunning(kindJob.pid))
                try await Task.sleep(for: .milliseconds(310))  // a press within 300 ms would count with this one
                daemon.send(SIGINT)
                await daemon.lines.wait(for: "Urgent Cancellation")
                await daemon.lines.wait(for: "ended job=\"kind\"")
                #expect(isRunning(deafJob.pid))
                try await Task.sleep(for: .milliseconds(310))  // as above
                daemon.send(SIGINT)
            }
            #expect(status == .exited(0))
            let escalations = lines.filter { $0.contains("Interrupt escalation") }
            #expect(escalations.count == 3)
            #expect(lines.joined().utf8.allSatisfy { $0 < 0x80 }, "its locale has no more than ASCII")
            #expect(lines.contains { $0.contains("ended job=\"deaf\"") && $0.contains("signal=\"SIGKILL\"") })
            #expect(lines.contains { $0.contains("ended job=\"kind\"") && $0.contains("state=\"interrupted\"") })
            #expect(!lines.joined().contains("\u{1B}"))  // no terminal, nothing for one
            for pid in pids.withLock({ $0 }) { #expect(!isRunning(pid)) }
            expectNothingLeft(in: directory)
        }
    }

    @Test func `three presses at once are one, and SIGTERM ends a deaf job within the grace period`() async throws {
        try await withTemporaryDirectory { directory in
            let clock = ContinuousClock()
            let asked = Mutex<ContinuousClock.Instant?>(nil)
            let (status, lines) = try await withDaemon(["--grace", "3s"], in: directory) { daemon in
                // Its own grace period must not outlast the daemon's.
                let job = try await daemon.start(deaf, as: "deaf", grace: .seconds(3_600))
                for _ in 0..<3 { daemon.send(SIGINT) }
                await daemon.lines.wait(for: "Graceful Cancellation")
                for _ in 0..<2 { daemon.send(SIGINT) }
                asked.withLock { $0 = clock.now }
                daemon.send(SIGTERM)
                await daemon.lines.wait(for: "ended job=\"deaf\"")
                #expect(!isRunning(job.pid))
            }
            let taken = try #require(asked.withLock { $0 }).duration(to: clock.now)
            print("SIGTERM with a deaf job, grace 3 s: gone after \(taken)")
            #expect(status == .exited(0))
            #expect(lines.filter { $0.contains("Interrupt escalation") }.count == 2)
            #expect(lines.contains { $0.contains("reason=\"system_shutdown\"") })
            expectNothingLeft(in: directory)
        }
    }

    @Test func `SIGHUP reads the file again, and a broken one changes nothing`() async throws {
        try await withTemporaryDirectory { directory in
            let file = "\(directory)/d.yaml"
            func write(_ text: String) throws {
                try text.write(toFile: file, atomically: false, encoding: .utf8)
                chmod(file, 0o600)
            }
            try write("grace: 1h\n")
            let (status, lines) = try await withDaemon(["--config", file], in: directory) { daemon in
                try "grace: 50ms\nlog_level: debug\nconcurrency: 2\nname: other\n"
                    .write(toFile: file, atomically: false, encoding: .utf8)
                daemon.send(SIGHUP)
                await daemon.lines.wait(for: "applied grace, log_level; restart to change name")
                let job = try await daemon.start(deaf, as: "deaf")
                try "grace: soon\n".write(toFile: file, atomically: false, encoding: .utf8)
                daemon.send(SIGHUP)
                await daemon.lines.wait(for: "the settings stay as they are")
                _ = try await daemon.client?.interrupt([.run(job.run)], InterruptSignal())
                await daemon.lines.wait(for: "ended job=\"deaf\"")  // one hour without the reload
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(lines.contains { $0.contains("d.yaml:1:1: 'soon' is not a duration") })
        }
    }

    @Test func `without redis-server it says in one line how to get it`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await withDaemon(in: directory, path: directory, waitsUntilReady: false) { _ in }
            #expect(status == .exited(69))
            #expect(
                lines == [
                    "error: redis-server is not installed",
                    "hint: apt-get install redis-server, or pass --redis URL",
                ]
            )
        }
    }

    @Test func `a Redis that is there and does not answer is left alone, with no second one beside it`() async throws {
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
                    "error: the embedded Redis at \(socket) takes connections and does not answer: "
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
            #expect(isRunning(left))
            let (status, lines) = try await withDaemon(["--name", "one"], in: directory) { third in
                await third.lines.wait(for: "using the embedded Redis that is there")
                try await eventually("the left process is gone") { !isRunning(left) }
                try await eventually("the left run is lost") {
                    try await third.client?.newestRun(of: try Name("left"))?.state == .lost
                }
                third.send(SIGTERM)
            }
            #expect(status == .exited(0), "\(lines)")
            expectNothingLeft(in: directory)
        }
    }

    /// Runs a daemon that is to end by itself; returns how, and what it said.
    private func outcome(_ arguments: [String], in directory: String) async throws -> (TerminationStatus, [String]) {
        try await withDaemon(arguments, in: directory, waitsUntilReady: false) { daemon in
            try await eventually("it ends by itself") { !isRunning(daemon.pid) }
        }
    }

    @Test func `wrong usage is an error and a hint, a line each`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await outcome(["--bogus"], in: directory)
            #expect(status == .exited(64))
            #expect(lines == ["error: Unknown option '--bogus'", "hint: run 'interruptd --help'"])
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

    @Test func `a Redis that is not there yet is waited for, and said once, not once a connection`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await withDaemon(
                ["--redis", "redis+unix://\(directory)/none.sock"],
                in: directory,
                waitsUntilReady: false
            ) { daemon in
                await daemon.lines.wait(for: "no connection to Redis")
                #expect(daemon.lines.all.count { $0.contains("no connection to Redis") } == 1)
                await daemon.lines.wait(for: "no connection to Redis", count: 4)
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(lines.count { $0.contains("cannot enter yet") } <= 1, "\(lines)")
        }
    }

    @Test func `an ignored SIGINT or SIGHUP stays ignored, as nohup means it`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await withDaemon(in: directory, ignoring: "INT HUP") { daemon in
                daemon.send(SIGINT)
                daemon.send(SIGHUP)
                _ = try await daemon.start("true", as: "after")
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(!lines.contains { $0.contains("settings read again") })
            expectNothingLeft(in: directory)
        }
    }

    @Test func `the log says who interrupted which run, by which way and from which source`() async throws {
        try await withTemporaryDirectory { directory in
            let (_, lines) = try await withDaemon(in: directory) { daemon in
                let job = try await daemon.start("while :; do sleep 1000; done", as: "kind")
                let signal = InterruptSignal(triggeredBy: "ann@box", source: .remote)
                _ = try await daemon.client?.interrupt([.run(job.run)], signal)
                await daemon.lines.wait(for: "ended job=\"kind\"")
                daemon.send(SIGTERM)
            }
            let line = try #require(lines.first { $0.contains(" interrupted by=") })
            for field in ["by=\"ann@box\"", "job=\"kind\"", "run=\"", "source=\"remote\"", "via=\""] {
                #expect(line.contains(field), "\(line)")
            }
        }
    }

    /// 25 rounds each, a hundred in all, five at a time.
    @Test(arguments: [(SIGINT, 1), (SIGINT, 2), (SIGINT, 3), (SIGTERM, 1)])
    func `real signals at any moment end it with status 0, and leave nothing`(number: Int32, times: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<5 {
                group.addTask { for _ in 0..<5 { try await endAtRandom(with: number, times: times) } }
            }
            try await group.waitForAll()
        }
    }

    private func endAtRandom(with number: Int32, times: Int) async throws {
        let hasJob = Bool.random()
        let moments = (0..<times).map { _ in Duration.milliseconds(Int.random(in: 0...400)) }
        try await withTemporaryDirectory { directory in
            let job = Mutex<Int32?>(nil)
            let (status, lines) = try await withDaemon(["--grace", "1s"], in: directory, waitsUntilReady: hasJob) {
                daemon in
                if hasJob {
                    let pid = try await daemon.start("sleep 0.5; : \(directory)", as: "job").pid
                    job.withLock { $0 = pid }
                }
                for moment in moments {
                    try await Task.sleep(for: moment)  // any moment may be the wrong one
                    if isRunning(daemon.pid) { daemon.send(number) }
                }
            }
            // Before it has its handlers, which is before its first word, a signal does what it always does.
            let isEarly = !hasJob && status == .signaled(number) && lines.isEmpty
            #expect(status == .exited(0) || isEarly, "\(moments) \(lines)")
            if let pid = job.withLock({ $0 }) { #expect(!isRunning(pid)) }
            expectNothingLeft(in: directory)
        }
    }
}
