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
/// server that outlived its last user is used again as it is. One that ends while it is used is started again by one of
/// its users, which a second lock chooses.
///
/// The server itself holds a third lock, in its data directory, as long as it lives: daemons that do not know of each
/// other, because their runtime directories differ, are never to have two servers on the same files.
struct EmbeddedRedis {
    let socketPath: String
    let lockPath: String
    let dataDirectory: String
    let logger: Logger

    enum Failure: Error, CustomStringConvertible {
        case notInstalled(program: String, package: String)
        case dataInUse(directory: String)
        case cannotPrepare(path: String, why: String)
        case didNotStart(log: String)
        case doesNotAnswer(socket: String)

        var description: String {
            switch self {
            case .notInstalled(let program, _): "\(program) is not installed"
            case .dataInUse(let directory):
                "another redis-server uses \(directory): a second one on its files would spoil the record"
            case .cannotPrepare(let path, let why): "cannot prepare \(path): \(why)"
            case .didNotStart(let log): "redis-server did not start; its log is \(log)"
            case .doesNotAnswer(let socket):
                "what is at \(socket) does not answer as an embedded Redis that is ready: "
                    + "a second one on its files would spoil the record"
            }
        }

        var hint: String? {
            switch self {
            case .notInstalled(_, let package): "apt-get install \(package), or pass --redis URL"
            case .dataInUse:
                "'pgrep -af redis-server' shows its socket: start interruptd with the XDG_RUNTIME_DIR that belongs to it or "
                    + "with another --state-dir, or end it with 'kill PID'"
            case .cannotPrepare, .didNotStart: nil
            case .doesNotAnswer(let socket):
                "find it with 'pgrep -af \(socket)'; let it go on with 'kill -CONT PID' if it is stopped, "
                    + "or end it with 'kill -9 PID', and start interruptd again"
            }
        }
    }

    /// Runs `body` while the server runs. Starts the server if nobody has, and again if it ends meanwhile; ends it if
    /// nobody else uses it.
    func run<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Failure.cannotPrepare(path: lockPath, why: Errno(rawValue: errno).description) }
        defer { close(lock) }
        try await join(lock)
        let result = await withTaskGroup(of: Void.self) { group -> Swift.Result<Result, any Error> in
            group.addTask { await keepRunning() }
            defer { group.cancelAll() }
            do {
                return .success(try await body())
            } catch {
                return .failure(error)
            }
        }
        if flock(lock, LOCK_EX | LOCK_NB) == 0 { await shutDown() }
        return try result.get()
    }

    /// Returns with the lock held shared and the server answering.
    private func join(_ lock: Int32) async throws {
        // Whoever had the lock may be starting the server just now, or ending it: then it is ours to start.
        for _ in 0..<10 {
            var isOurs = false
            if flock(lock, LOCK_EX | LOCK_NB) == 0, await ask() == .absent {
                isOurs = try await start()
            }
            flock(lock, LOCK_SH)
            switch try await answer(within: .seconds(6)) {
            case .ready:
                if !isOurs {
                    logger.info("using the embedded Redis that is there", metadata: ["socket": "\(socketPath)"])
                }
                return
            case .absent, .loading: continue
            case .silent: throw Failure.doesNotAnswer(socket: socketPath)
            }
        }
        throw Failure.didNotStart(log: log)
    }

    /// Starts the server again each time that it has ended; returns when the task is cancelled.
    private func keepRunning() async {
        while !Task.isCancelled {
            // Without a connection it hangs, or is gone already.
            if let connection = try? await RedisConnection.connect(to: endpoint) {
                await withTaskCancellationHandler {
                    _ = await connection.waitUntilClosed()
                } onCancel: {
                    connection.close()
                }
            }
            if Task.isCancelled { return }
            await startAgain()
            try? await Task.sleep(for: .seconds(1), clock: .continuous)  // the distance of attempts; cancelled: it ends
        }
    }

    private func startAgain() async {
        let turn = open(lockPath + ".start", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard turn >= 0 else { return }  // the next attempt may have a descriptor
        defer { close(turn) }
        guard flock(turn, LOCK_EX | LOCK_NB) == 0, await ask() == .absent else { return }
        logger.warning("the embedded Redis has ended, and is started again", metadata: ["log": "\(log)"])
        do {
            try await start()
        } catch {
            if !Task.isCancelled { logger.error("the embedded Redis cannot be started", metadata: ["why": "\(error)"]) }
        }
    }

    /// The exit status when another server has the lock.
    private static let isLocked: Int32 = 75

    private var log: String { "\(dataDirectory)/redis.log" }

    /// Starts the server as a daemon of its own; returns when it answers, or `false` when somebody else has started it.
    ///
    /// The lock on its data goes from the program that takes it to the server, and is given back by the kernel when that
    /// ends. What is at the socket is removed by the server itself, which has the lock then.
    @discardableResult
    private func start() async throws -> Bool {
        let status: TerminationStatus
        do {
            status = try await Subprocess.run(
                .name("flock"),
                arguments: [
                    // One that is about to end may take a moment.
                    "--wait", "2", "--conflict-exit-code", "\(Self.isLocked)", "--no-fork", "\(dataDirectory)/lock",
                    "redis-server", "--unixsocket", socketPath, "--unixsocketperm", "600", "--port", "0",
                    "--dir", dataDirectory, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                    "--maxmemory-policy", "noeviction", "--daemonize", "yes", "--logfile", log,
                ],
                input: .none,
                output: .discarded,
                error: .discarded
            ).terminationStatus
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw Failure.notInstalled(program: "flock", package: "util-linux")
        }
        switch status {
        case .exited(0): break
        case .exited(Self.isLocked):
            // A daemon that was killed may have left one here that was about to start.
            if await ask() == .absent { throw Failure.dataInUse(directory: dataDirectory) }
            return false
        case .exited(EX_UNAVAILABLE): throw Failure.notInstalled(program: "redis-server", package: "redis-server")
        default: throw Failure.didNotStart(log: log)
        }
        guard try await answer(within: .seconds(60)) == .ready else { throw Failure.didNotStart(log: log) }
        logger.info("started an embedded Redis", metadata: ["socket": "\(socketPath)"])
        return true
    }

    /// What came of asking the server. Only an absent one may be started: two on the same files spoil them.
    private enum Answer {
        case ready
        /// It is there, and reads its file.
        case loading
        /// Nothing listens at the socket.
        case absent
        /// Something listens and says nothing of use: a server that is stopped, hangs, or is none.
        case silent
    }

    /// Asks until the server is ready: it says in no other way that it has read its file. Returns the last answer.
    private func answer(within limit: Duration) async throws -> Answer {
        let deadline = ContinuousClock.now + limit
        var pause = Duration.milliseconds(2)
        while true {
            let answer = await ask()
            if answer == .ready || ContinuousClock.now >= deadline { return answer }
            try await Task.sleep(for: pause, clock: .continuous)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    private func ask() async -> Answer {
        do throws(RedisError) {
            let connection = try await RedisConnection.connect(to: endpoint)
            defer { connection.close() }
            try await connection.send(RedisCommand("PING"))
            return .ready
        } catch {
            if error.isNobodyListening { return .absent }
            return error.replyPrefix == "LOADING" ? .loading : .silent
        }
    }

    /// Asks the server to end; its append-only file has everything. Returns when it has closed the connection, or with a
    /// warning when it has not for 20 s: the next daemon uses it as it is.
    private func shutDown() async {
        let limits = RedisConnectionConfiguration(connectTimeout: .seconds(10), commandTimeout: .seconds(10))
        do throws(RedisError) {
            let connection = try await RedisConnection.connect(to: endpoint, configuration: limits)
            defer { connection.close() }
            try await connection.send(RedisCommand("SHUTDOWN", "NOSAVE"))
        } catch {
            // The closed connection is the answer.
            if error.isNobodyListening || error.code == .connectionLost { return }
            logger.warning(
                "the embedded Redis does not end, and is left as it is",
                metadata: ["socket": "\(socketPath)", "why": "\(error)"]
            )
        }
    }

    private var endpoint: RedisEndpoint { RedisEndpoint(address: .unix(path: socketPath)) }
}
