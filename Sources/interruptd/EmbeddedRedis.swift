import Glibc
import InterruptCore
import InterruptRedis
import Logging
import Subprocess
import SystemPackage

/// The private Redis of one machine: append-only file, Unix socket for this user alone, a session of its own so that
/// Ctrl-C does not reach it. A lock says who owns it; whoever does not own it uses it.
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

    /// Runs `body` while the server runs. Starts and ends the server when this process gets the lock, else uses the
    /// one that is there.
    func run<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Failure.cannotPrepare(path: lockPath, why: Errno(rawValue: errno).description) }
        defer { close(lock) }
        // The lock goes with this process, however it ends.
        let isOwner = flock(lock, LOCK_EX | LOCK_NB) == 0
        // A server may have outlived an owner that was killed: it is taken over as it is.
        let isServing = isOwner ? try await answers(within: .zero) : true
        if isServing {
            logger.info("using the embedded Redis that is there", metadata: ["socket": "\(socketPath)"])
            let result = try await body()
            if isOwner { await shutDown() }
            return result
        }
        unlink(socketPath)
        return try await serve(body)
    }

    private func serve<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        var options = PlatformOptions()
        options.createSession = true
        let configuration = Configuration(
            executable: .name("redis-server"),
            arguments: [
                "--unixsocket", socketPath, "--unixsocketperm", "600", "--port", "0", "--dir", dataDirectory,
                "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
                "--daemonize", "no", "--logfile", "\(dataDirectory)/redis.log",
            ],
            platformOptions: options
        )
        do {
            return try await Subprocess.run(configuration, input: .none, output: .discarded, error: .discarded) { _ in
                guard try await answers(within: .seconds(10)) else {
                    throw Failure.didNotStart(log: "\(dataDirectory)/redis.log")
                }
                logger.info("started an embedded Redis", metadata: ["socket": "\(socketPath)"])
                let result = try await body()
                await shutDown()
                return result
            }.closureResult
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw Failure.notInstalled
        }
    }

    private func answers(within limit: Duration) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        let endpoint = try RedisEndpoint(url: "unix://\(socketPath)")
        var pause = Duration.milliseconds(2)
        while true {
            if let connection = try? await RedisConnection.connect(to: endpoint) {
                defer { connection.close() }
                // While it loads its file it answers with an error: it is there, but not ready.
                if (try? await connection.send(RedisCommand("PING"))) != nil { return true }
            }
            if ContinuousClock.now >= deadline { return false }
            try await Task.sleep(for: pause, clock: .continuous)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    /// Asks the server to write its file and end.
    private func shutDown() async {
        guard let endpoint = try? RedisEndpoint(url: "unix://\(socketPath)"),
            let connection = try? await RedisConnection.connect(to: endpoint)
        else { return }  // it has ended already
        // The answer to SHUTDOWN is the closed connection.
        _ = try? await connection.send(RedisCommand("SHUTDOWN", "NOSAVE"))
        connection.close()
    }
}
