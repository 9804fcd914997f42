import Glibc
import InterruptCore
public import InterruptRedis
import Subprocess
import Synchronization
import SystemPackage

/// A real `redis-server` for the length of a test. ``withRedis(arguments:tcp:certificates:_:)`` makes it.
public final class TestRedis: Sendable {
    private struct Server {
        var pid: pid_t?
        var isEnding = false
        var isAway = false
        var failure: String?
    }

    /// The server's own directory; removed at the end.
    public let directory: String
    /// The TCP port on the loopback addresses, if one was asked for; with certificates it speaks TLS.
    public let port: Int?
    /// The files of the TLS port, if there is one.
    public let certificates: RedisCertificates?

    private let arguments: [String]
    private let server = Mutex(Server())
    private let returned = Wakeup()

    init(directory: String, port: Int?, certificates: RedisCertificates?, arguments: [String]) {
        self.directory = directory
        self.port = port
        self.certificates = certificates
        var all = ["--dir", directory, "--unixsocket", "\(directory)/redis.sock", "--logfile", "\(directory)/log"]
        all += ["--save", "", "--bind", "127.0.0.1"]
        let settings = port.flatMap { certificates?.settings(port: $0) } ?? [("port", "\(port ?? 0)")]
        all += settings.flatMap { ["--\($0.name)", $0.value] }
        self.arguments = all + arguments
    }

    /// The Unix socket.
    public var socketPath: String { "\(directory)/redis.sock" }

    /// The server through its Unix socket.
    public var endpoint: RedisEndpoint { RedisEndpoint(address: .unix(path: socketPath)) }

    /// The server through its TCP port, with `localhost` as host; traps if there is none.
    public var tcpEndpoint: RedisEndpoint {
        RedisEndpoint(address: .tcp(host: "localhost", port: port!), tls: certificates?.clientFiles)
    }

    /// The process id of the server; `nil` while it restarts.
    public var pid: Int32? { server.withLock { $0.pid } }

    /// Stops the server with SIGSTOP: connections stay open and nothing answers.
    public func stop() { signal(SIGSTOP) }

    /// Lets a stopped server go on.
    public func resume() { signal(SIGCONT) }

    /// Kills the server with SIGKILL, starts it again in the same directory, and returns when it answers. Its append-only
    /// file, if it has one, has what it had answered.
    public func restart() async throws {
        let old = pid
        await writeFile()
        signal(SIGKILL)
        while pid == old { try await Task.sleep(for: .milliseconds(1)) }
        try await waitUntilReady()
    }

    /// Kills the server with SIGKILL and returns when it is gone: nobody listens until ``bringBack()``. Its append-only file,
    /// if it has one, has what it had answered.
    public func takeAway() async throws {
        await writeFile()
        server.withLock { $0.isAway = true }
        signal(SIGKILL)
        while pid != nil { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// Starts the server again in the same directory, and returns when it answers.
    public func bringBack() async throws {
        server.withLock { $0.isAway = false }
        returned.signal()
        try await waitUntilReady()
    }

    /// While the disk is busy with a sync, a server that syncs every second writes up to two seconds later what it has
    /// answered. Until it is started again, this one does not. Nor has it to answer: it may be stopped.
    private func writeFile() async {
        _ = try? await send(["CONFIG", "SET", "appendfsync", "always"], limits: RedisConnectionConfiguration())
    }

    /// Runs one command on a connection of its own, through the Unix socket. An error reply is thrown.
    @discardableResult
    public func command(_ arguments: String...) async throws -> RESPValue {
        try await send(arguments, limits: .patient)
    }

    private func send(_ arguments: [String], limits: RedisConnectionConfiguration) async throws -> RESPValue {
        let connection = try await RedisConnection.connect(to: endpoint, configuration: limits)
        defer { connection.close() }
        return try await connection.send(RedisCommand(arguments: arguments.map { Array($0.utf8) }))
    }

    /// Starts the server, and again whenever it ends, until ``end()``.
    func serve() async {
        while !server.withLock({ $0.isEnding }) {
            do {
                let result = try await run(
                    .name("redis-server"),
                    arguments: Arguments(arguments),
                    input: .none,
                    output: .discarded,
                    error: .discarded
                ) { execution in
                    let pid = execution.processIdentifier.value
                    let isEnding = server.withLock { server in
                        server.pid = pid
                        return server.isEnding
                    }
                    if isEnding { kill(pid, SIGKILL) }
                }
                server.withLock { server in
                    server.pid = nil
                    if case .exited(let code) = result.terminationStatus {
                        server.failure = "redis-server exited with status \(code); see \(directory)/log"
                    }
                }
            } catch {
                server.withLock { $0.failure = "redis-server cannot be started: \(error)" }
            }
            if server.withLock({ $0.failure }) != nil { return }
            while server.withLock({ $0.isAway && !$0.isEnding }) { await returned.wait() }
        }
    }

    func end() {
        server.withLock { $0.isEnding = true }
        returned.signal()
        signal(SIGKILL)
    }

    /// Asks until the server answers: a server says in no other way that its socket is ready.
    func waitUntilReady() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            if let failure = server.withLock({ $0.failure }) { throw TestRedisError(description: failure) }
            do {
                _ = try await send(["PING"], limits: RedisConnectionConfiguration())
                return
            } catch let error as RedisError where error.code == .authenticationFailed {
                // It answers; the test has the password.
                return
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }

    private func signal(_ number: Int32) {
        server.withLock { server in
            if let pid = server.pid { _ = kill(pid, number) }
        }
    }
}

/// Why a test has no server.
public struct TestRedisError: Error, CustomStringConvertible {
    /// One sentence.
    public let description: String
}

/// Runs `body` with a fresh `redis-server` that answers on a Unix socket; ends the server and removes its directory
/// afterwards, also when `body` throws.
///
/// - `arguments`: more arguments for the server, after ours: the last one of a kind counts.
/// - `tcp`: whether it also listens on a free port of 127.0.0.1.
/// - `certificates`: makes that port a TLS port.
public func withRedis<R>(
    arguments: [String] = [],
    tcp: Bool = false,
    certificates: RedisCertificates? = nil,
    _ body: (TestRedis) async throws -> R
) async throws -> R {
    try await withTemporaryDirectory { directory in
        let port = tcp || certificates != nil ? try freeLoopbackPort() : nil
        let redis = TestRedis(directory: directory, port: port, certificates: certificates, arguments: arguments)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await redis.serve() }
            defer { redis.end() }
            try await redis.waitUntilReady()
            return try await body(redis)
        }
    }
}

/// Runs `body` with a new directory below `/tmp`, short enough for socket paths, and removes it with all it holds.
public func withTemporaryDirectory<R>(_ body: (String) async throws -> R) async throws -> R {
    var template = Array("/tmp/interrupt-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { removeTree(path) }
    return try await body(path)
}

/// Removes a file or a directory with all it holds. What cannot be removed stays in /tmp, which is no failure of the test.
private func removeTree(_ path: String) {
    // Symbolic links and files go at once, and so do empty directories.
    guard remove(path) != 0, let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { removeTree("\(path)/\(name)") }
    }
    closedir(directory)
    remove(path)
}

/// Below those that Linux gives to outgoing connections, which would take one before a server does.
private let loopbackPorts: ClosedRange<UInt16> = 10_000...32_767

/// The next one to try. It goes up, because a server takes its port only a while after it was chosen.
private let nextLoopbackPort = Mutex(UInt16.random(in: loopbackPorts))

/// A TCP port of 127.0.0.1 that nobody used a moment ago, and that this process has not been given before.
public func freeLoopbackPort() throws -> Int {
    for _ in 0..<100 {
        let port = nextLoopbackPort.withLock { next in
            defer { next = next == loopbackPorts.upperBound ? loopbackPorts.lowerBound : next + 1 }
            return next
        }
        do {
            try bindOnce(port)
            return Int(port)
        } catch Errno.addressInUse {
            continue
        }
    }
    throw Errno.addressInUse
}

private func bindOnce(_ port: UInt16) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = port.bigEndian
    let result = withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard result == 0 else { throw Errno(rawValue: errno) }
}
