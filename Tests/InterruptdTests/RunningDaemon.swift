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
final class Lines: Sendable {
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
struct RunningDaemon: Sendable {
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
let products: String = {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    let path = bundle.hasPrefix("/") ? bundle : FileManager.default.currentDirectoryPath + "/" + bundle
    return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
}()

/// Runs the daemon on its embedded Redis; returns how it ended and what it said.
func withDaemon(
    _ arguments: [String] = [],
    in directory: String,
    path: String? = nil,
    ignoring signals: String? = nil,
    openFiles: Int? = nil,
    environment: [Environment.Key: String] = [:],
    waitsUntilReady: Bool = true,
    _ body: @escaping @Sendable (RunningDaemon) async throws -> Void
) async throws -> (status: TerminationStatus, lines: [String]) {
    let lines = Lines()
    let redis = RedisClient(
        endpoint: RedisEndpoint(address: .unix(path: "\(directory)/interrupt/interrupt.sock")),
        configuration: .patient,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    let client = InterruptClient(commands: redis, keys: try RedisKeys(namespace: "interrupt"))
    var variables: [Environment.Key: String] = ["XDG_RUNTIME_DIR": directory, "HOME": directory]
    let inherited = ProcessInfo.processInfo.environment
    variables.merge(environment) { _, asked in asked }
    variables["PATH"] = path ?? inherited["PATH"] ?? "/usr/bin:/bin"
    variables["TSAN_OPTIONS"] = inherited["TSAN_OPTIONS"]  // where a sanitized daemon writes its reports
    var options = PlatformOptions()
    options.createSession = true  // as with a terminal of its own
    let program = "\(products)/interruptd"
    let setUp = [signals.map { "trap '' \($0)" }, openFiles.map { "ulimit -Sn \($0)" }].compactMap { $0 }
    let shell = setUp.isEmpty ? nil : ["-c", "\(setUp.joined(separator: "; ")); exec \"$0\" \"$@\"", program]
    let result = try await Subprocess.run(
        .path(FilePath(shell == nil ? program : "/bin/sh")),
        arguments: Arguments(
            (shell ?? []) + ["--state-dir", "\(directory)/state", "--concurrency", "4"] + arguments
        ),
        environment: .custom(variables),
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

func isRunning(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !text.contains(") Z ")
}

/// The processes that know this directory: the daemon, its Redis, its jobs.
func processes(in directory: String) -> [String] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.filter { entry in
        guard Int(entry) != nil else { return false }
        let command = (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8)) ?? ""
        return command.contains(directory)
    }
}

func expectNothingLeft(in directory: String) {
    #expect(processes(in: directory) == [])
    #expect(access("\(directory)/interrupt/interrupt.sock", F_OK) != 0)
}

/// A script that no Unix signal but SIGKILL ends.
let deaf = "trap '' TERM INT HUP; while :; do sleep 1000; done"
