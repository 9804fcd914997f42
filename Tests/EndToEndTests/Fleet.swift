import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

/// The real programs on one real Redis: what a user has, in a directory of its own.
struct Fleet: Sendable {
    /// What a finished command left.
    struct Output: Sendable {
        var status: TerminationStatus
        var text: String
        var errors: String

        var exitCode: Int32? { if case .exited(let code) = status { code } else { nil } }
    }

    let redis: TestRedis
    let directory: String
    /// Where the programs are to break, as `INTERRUPT_FAILPOINT` says it.
    var failpoint: String?
    /// Where the programs go instead of to `redis`, and the namespace there.
    var place: (endpoint: RedisEndpoint, namespace: String)?

    var client: InterruptClient {
        get async throws {
            let keys = try RedisKeys(namespace: place?.namespace ?? RedisKeys.defaultNamespace)
            var endpoint = place?.endpoint ?? redis.endpoint
            if place != nil { endpoint.keys = keys }
            let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
            return InterruptClient(commands: connection, keys: keys)
        }
    }

    /// The variables that both programs get; nothing of the caller's own settings reaches them.
    var environment: Environment {
        .inherit.updating([
            "INTERRUPT_REDIS_URL": place?.endpoint.description ?? "unix://\(redis.socketPath)",
            "INTERRUPT_NAMESPACE": place?.namespace, "NO_COLOR": nil,
            "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": directory,
            // Who crashes on purpose is gone at once, not after ten seconds in which its stack is looked at.
            "SWIFT_BACKTRACE": "enable=no", "INTERRUPT_FAILPOINT": failpoint,
        ])
    }

    /// Where the build has put the programs: beside the tests, unless `INTERRUPT_BIN` names those of another build.
    static let programs: FilePath = {
        if let other = ProcessInfo.processInfo.environment["INTERRUPT_BIN"] { return FilePath(other) }
        var bundle = FilePath(Bundle.main.executablePath ?? CommandLine.arguments[0])
        // The test runner may live elsewhere; the test bundle is among its arguments then.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") { bundle = FilePath(argument) }
        return bundle.removingLastComponent()
    }()

    /// Runs interruptctl to its end.
    func control(_ arguments: String...) async throws -> Output {
        try await control(arguments)
    }

    func control(_ arguments: [String]) async throws -> Output {
        try await finish("interruptctl", arguments)
    }

    /// Runs an interruptd that is expected to end by itself.
    func daemon(_ arguments: String...) async throws -> Output {
        try await finish("interruptd", arguments)
    }

    private func finish(_ program: String, _ arguments: [String]) async throws -> Output {
        let result = try await run(
            .path(Self.programs.appending(program)),
            arguments: Arguments(arguments),
            environment: environment,
            input: .none,
            output: .string(limit: 16 << 20),
            error: .string(limit: 16 << 20)
        )
        return Output(status: result.terminationStatus, text: result.standardOutput, errors: result.standardError)
    }

    /// Runs `body` beside a worker that is ready, and ends the worker with SIGTERM afterwards.
    ///
    /// - Parameters:
    ///   - prefix: the command that becomes the worker, as `env` does.
    ///   - user: the worker runs as this user, which only root can ask for.
    func worker<Result: Sendable>(
        _ name: String,
        _ arguments: [String] = [],
        takesAnyCommand: Bool = true,
        under prefix: [String] = [],
        as user: uid_t? = nil,
        _ body: @Sendable (_ pid: Int32) async throws -> Result
    ) async throws -> Result {
        var all = ["--name", name, "--state-dir", "\(directory)/\(name)", "--grace", "2s"]
        if takesAnyCommand { all.append("--allow-any-command") }
        let log = try FileDescriptor.open(
            "\(directory)/\(name).log",
            .writeOnly,
            options: [.create, .append],
            permissions: .ownerReadWrite
        )
        let asUser = user.map { ["setpriv", "--reuid=\($0)", "--clear-groups"] } ?? []
        let words = prefix + asUser + [Self.programs.appending("interruptd").string]
        return try await run(
            words.count == 1 ? .path(FilePath(words[0])) : .name(words[0]),
            arguments: Arguments(words.dropFirst() + all + arguments),
            environment: environment,
            input: .none,
            output: .fileDescriptor(log, closeAfterSpawningProcess: false),
            error: .fileDescriptor(log, closeAfterSpawningProcess: true)
        ) { execution in
            let pid = execution.processIdentifier.value
            do {
                try await isReady(name, pid)
                let result = try await body(pid)
                try? execution.send(signal: .terminate)  // the test may have ended it
                return result
            } catch {
                try? execution.send(signal: .kill)  // the test may have ended it
                throw error
            }
        }.closureResult
    }

    /// Waits for the worker's own word that it has its name.
    private func isReady(_ name: String, _ pid: Int32) async throws {
        let client = try await client
        try await eventually("worker \(name) is ready") { try await client.worker(name)?.pid == pid }
    }

    /// Waits until the run of `job` is in one of `states`.
    @discardableResult
    func wait(for job: String, _ states: RunState...) async throws -> RunRecord {
        let client = try await client
        let name = try Name(job)
        try await eventually("\(job) is \(states)") {
            try await client.newestRun(of: name).map { states.contains($0.state) } ?? false
        }
        return try #require(try await client.newestRun(of: name))
    }

    /// Waits until a worker has said `text`.
    func log(of worker: String, has text: String) async throws {
        try await eventually("worker \(worker) says '\(text)'") {
            try String(contentsOfFile: "\(directory)/\(worker).log", encoding: .utf8).contains(text)
        }
    }

    /// What the job has written so far.
    func output(of job: String) async throws -> String {
        try await control("logs", job).text
    }
}

/// Runs `body` with a Redis and a directory that are gone afterwards.
func withFleet<Result>(redis: [String] = [], _ body: (Fleet) async throws -> Result) async throws -> Result {
    try await withTemporaryDirectory { directory in
        try await withRedis(arguments: ["--appendonly", "yes"] + redis) { redis in
            try await body(Fleet(redis: redis, directory: directory))
        }
    }
}

/// The processes that carry `variable` in their environment.
func processes(with variable: String) -> [Int32] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []  // /proc is always there
    return entries.compactMap(Int32.init).filter { pid in
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { return false }
        return data.split(separator: 0).contains { Array($0) == Array(variable.utf8) }
    }
}
