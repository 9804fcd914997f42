import FoundationEssentials
import Glibc
public import InterruptRedis
import Subprocess
import Synchronization
import SystemPackage

/// One `redis-server` of several, on a free port of 127.0.0.1. Unlike ``TestRedis`` it stays dead when it is killed, until
/// it is started again.
public final class LoopbackServer: Sendable {
    private enum Life {
        case new
        /// It is being started, or runs.
        case running(pid_t?)
        /// Then `running`, when it is to be started again.
        case dead(starting: CheckedContinuation<Bool, Never>?)
        case over
    }

    /// The port.
    public let port: Int
    private let directory: String
    private let arguments: [String]
    private let certificates: RedisCertificates?
    private let password: String?
    private let life = Mutex(Life.new)

    /// - Parameters:
    ///   - arguments: of the server; the first one may be its configuration file.
    ///   - certificates: of a port that speaks TLS.
    ///   - password: that the arguments make it ask for.
    init(
        port: Int,
        directory: String,
        arguments: [String],
        certificates: RedisCertificates? = nil,
        password: String? = nil
    ) {
        self.port = port
        self.directory = directory
        self.arguments = arguments
        self.certificates = certificates
        self.password = password
    }

    /// The server and nobody else, whatever it says of others.
    public var endpoint: RedisEndpoint {
        RedisEndpoint(
            address: .tcp(host: "127.0.0.1", port: port),
            password: password,
            tls: certificates?.clientFiles
        )
    }

    /// How URLs and other servers call it.
    public var node: RedisNode { RedisNode(host: "127.0.0.1", port: port) }

    /// Ends the server with SIGKILL; returns when it is gone.
    public func kill() async throws {
        signal(SIGKILL)
        try await eventually("the server on port \(port) is gone") {
            life.withLock { if case .dead = $0 { true } else { false } }
        }
    }

    /// Stops the server with SIGSTOP: connections stay open and nothing answers.
    public func stop() { signal(SIGSTOP) }

    /// Lets a stopped server go on.
    public func resume() { signal(SIGCONT) }

    /// Starts a killed server again, and returns when it answers.
    public func start() async throws {
        let starting = life.withLock { life in
            guard case .dead(let starting) = life else { return nil as CheckedContinuation<Bool, Never>? }
            life = .running(nil)
            return starting
        }
        starting?.resume(returning: true)
        try await waitUntilReady()
    }

    /// Runs one command on a connection of its own. An error reply is thrown.
    @discardableResult
    public func command(_ arguments: String...) async throws -> RESPValue { try await command(arguments) }

    /// Runs one command on a connection of its own. An error reply is thrown.
    @discardableResult
    public func command(_ arguments: [String]) async throws -> RESPValue {
        let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
        defer { connection.close() }
        return try await connection.send(RedisCommand(arguments: arguments.map { Array($0.utf8) }))
    }

    /// A line of INFO: what is after `name:`.
    public func info(_ section: String, _ name: String) async throws -> String? {
        let lines = try await command("INFO", section).text?.split(separator: "\r\n") ?? []
        return lines.first { $0.hasPrefix("\(name):") }.map { String($0.dropFirst(name.count + 1)) }
    }

    /// Runs the server, and again each time that it is started, until ``end()``.
    func serve() async {
        repeat {
            let isWanted = life.withLock { life in
                if case .over = life { return false }
                life = .running(nil)
                return true
            }
            guard isWanted else { return }
            // One that cannot be started never answers, and the test that waits for it says so.
            _ = try? await run(
                .name("redis-server"),
                arguments: Arguments(arguments),
                workingDirectory: FilePath(directory),
                input: .none,
                output: .discarded,
                error: .discarded
            ) { execution in
                let pid = execution.processIdentifier.value
                let isOver = life.withLock { life in
                    if case .over = life { return true }
                    life = .running(pid)
                    return false
                }
                if isOver { Glibc.kill(pid, SIGKILL) }
            }
        } while await isToStartAgain()
    }

    private func isToStartAgain() async -> Bool {
        await withCheckedContinuation { continuation in
            let isOver = life.withLock { life in
                if case .over = life { return true }
                life = .dead(starting: continuation)
                return false
            }
            if isOver { continuation.resume(returning: false) }
        }
    }

    func end() {
        let last = life.withLock { life in
            defer { life = .over }
            return life
        }
        switch last {
        case .running(let pid?): Glibc.kill(pid, SIGKILL)
        case .dead(let starting): starting?.resume(returning: false)
        case .new, .running(nil), .over: break
        }
    }

    func waitUntilReady() async throws {
        do {
            try await eventually("the server on port \(port) answers") { (try? await command("PING")) != nil }
        } catch let error as NeverHappened {
            let log = (try? String(contentsOfFile: "\(directory)/log", encoding: .utf8)) ?? ""
            let last = log.split(separator: "\n").suffix(5).joined(separator: "\n")
            throw TestRedisError(description: "\(error); the end of its log:\n\(last)")
        }
    }

    private func signal(_ number: Int32) {
        life.withLock { life in
            if case .running(let pid?) = life { _ = Glibc.kill(pid, number) }
        }
    }
}

/// Runs `body` while all servers run; ends them afterwards.
func whileRunning<R>(_ servers: [LoopbackServer], _ body: () async throws -> R) async throws -> R {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for server in servers { group.addTask { await server.serve() } }
        defer { for server in servers { server.end() } }
        for server in servers { try await server.waitUntilReady() }
        return try await body()
    }
}
