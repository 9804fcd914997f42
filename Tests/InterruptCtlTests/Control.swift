import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

/// What one call of the real binary gave.
struct ControlResult: Sendable {
    var status: Int32
    var output: String
    var error: String
}

/// The binary beside the test bundle, against one server.
struct Control: Sendable {
    let redis: TestRedis
    var locale = "C.UTF-8"

    static let path: FilePath = {
        let bundle = FilePath(CommandLine.arguments[0])
        return bundle.removingLastComponent().appending("interruptctl")
    }()

    static func environment(_ redis: TestRedis, locale: String = "C.UTF-8") -> Subprocess.Environment {
        .custom([
            "INTERRUPT_REDIS_URL": "redis+unix://\(redis.socketPath)", "LANG": locale,
            "PATH": "/usr/bin:/bin",
        ])
    }

    /// The request that is on record for a run.
    func request(for run: RunID) async throws -> InterruptSignal? {
        let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
        defer { connection.close() }
        return try await InterruptClient(commands: connection, keys: try RedisKeys()).request(for: run)
    }

    func callAsFunction(_ words: String...) async throws -> ControlResult {
        try await call(words)
    }

    func call(_ words: [String]) async throws -> ControlResult {
        try await call(words.map { Array($0.utf8) })
    }

    func call(_ words: [[UInt8]]) async throws -> ControlResult {
        let result = try await run(
            .path(Self.path),
            // Subprocess takes bytes as C strings: the NUL at the end is ours to write.
            arguments: Arguments(words.map { $0 + [0] }),
            environment: Self.environment(redis, locale: locale),
            input: .none,
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let number): 1_000 + number
            }
        return ControlResult(status: status, output: result.standardOutput, error: result.standardError)
    }
}

func withWorker(
    answers: Bool = true,
    _ body: @Sendable (Control, TestRedis, TestWorker) async throws -> Void
) async throws {
    try await withRedis { redis async throws in
        let worker = try TestWorker(redis: redis, answers: answers)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.serve() }
            defer { group.cancelAll() }
            try await body(Control(redis: redis), redis, worker)
        }
    }
}

func firstOrder(_ worker: TestWorker) async throws -> RunOrder {
    var iterator = worker.started.makeAsyncIterator()
    return try #require(await iterator.next())
}

/// Waits until somebody has subscribed to the events: then a waiting command has its handlers in place.
func waitUntilListening(_ redis: TestRedis) async throws {
    while true {
        let reply = try await redis.command("PUBSUB", "NUMSUB", "interrupt:events")
        if reply.array?.last?.integer ?? 0 > 0 { return }
        try await Task.sleep(for: .milliseconds(2))
    }
}
