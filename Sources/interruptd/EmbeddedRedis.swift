import Glibc
import InterruptCore
import InterruptRedis
import Logging
import Subprocess
import SystemPackage

/// The private Redis of one machine: append-only file, Unix socket for this user alone, a session of its own so that
/// Ctrl-C does not reach it.
///
/// A lock file says who uses it. Every daemon holds the lock shared while it works; who can hold it alone starts the
/// server, or ends it. The kernel gives the lock back however a daemon ends, so nothing has to be repaired afterwards: a
/// server that outlived its last user is used again as it is.
struct EmbeddedRedis {
    let socketPath: String
    let lockPath: String
    let dataDirectory: String
    let logger: Logger

    enum Failure: Error, CustomStringConvertible {
        case notInstalled
        case cannotPrepare(path: String, why: String)
        case didNotStart(log: String)

        var description: String {
            switch self {
            case .notInstalled: "redis-server is not installed"
            case .cannotPrepare(let path, let why): "cannot prepare \(path): \(why)"
            case .didNotStart(let log): "redis-server did not start; its log is \(log)"
            }
        }

        var hint: String? {
            switch self {
            case .notInstalled: "apt-get install redis-server, or pass --redis URL"
            case .cannotPrepare, .didNotStart: nil
            }
        }
    }

    /// Runs `body` while the server runs. Starts the server if nobody has, ends it if nobody else uses it.
    func run<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Failure.cannotPrepare(path: lockPath, why: Errno(rawValue: errno).description) }
        defer { close(lock) }
        try await join(lock)
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        if flock(lock, LOCK_EX | LOCK_NB) == 0 { await shutDown() }
        return try result.get()
    }

    /// Returns with the lock held shared and the server answering.
    private func join(_ lock: Int32) async throws {
        // Whoever had the lock may be starting the server just now, or ending it: then it is ours to start.
        for _ in 0..<10 {
            if flock(lock, LOCK_EX | LOCK_NB) == 0, try await !answers(within: .zero) {
                try await start()
            } else {
                logger.info("using the embedded Redis that is there", metadata: ["socket": "\(socketPath)"])
            }
            flock(lock, LOCK_SH)
            if try await answers(within: .seconds(6)) { return }
        }
        throw Failure.didNotStart(log: log)
    }

    private var log: String { "\(dataDirectory)/redis.log" }

    /// Starts the server as a daemon of its own; returns when it answers.
    private func start() async throws {
        unlink(socketPath)
        do {
            _ = try await Subprocess.run(
                .name("redis-server"),
                arguments: [
                    "--unixsocket", socketPath, "--unixsocketperm", "600", "--port", "0", "--dir", dataDirectory,
                    "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy",
                    "noeviction", "--daemonize", "yes", "--logfile", log,
                ],
                input: .none,
                output: .discarded,
                error: .discarded
            )
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw Failure.notInstalled
        }
        guard try await answers(within: .seconds(60)) else { throw Failure.didNotStart(log: log) }
        logger.info("started an embedded Redis", metadata: ["socket": "\(socketPath)"])
    }

    /// Asks until the server answers: it says in no other way that it has read its file and is ready.
    private func answers(within limit: Duration) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        var pause = Duration.milliseconds(2)
        while true {
            if let connection = try? await RedisConnection.connect(to: endpoint) {  // not there yet
                defer { connection.close() }
                if (try? await connection.send(RedisCommand("PING"))) != nil { return true }  // there, but loading
            }
            if ContinuousClock.now >= deadline { return false }
            try await Task.sleep(for: pause, clock: .continuous)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    /// Asks the server to end; its append-only file has everything. Returns when it has closed the connection.
    private func shutDown() async {
        guard let connection = try? await RedisConnection.connect(to: endpoint) else { return }  // ended already
        _ = try? await connection.send(RedisCommand("SHUTDOWN", "NOSAVE"))  // the closed connection is the answer
        connection.close()
    }

    private var endpoint: RedisEndpoint { RedisEndpoint(address: .unix(path: socketPath)) }
}
