import FoundationEssentials
import Glibc
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A command finds the server in charge` {
    private func control(_ words: String...) async throws -> ControlResult {
        try await ran(.path(Control.path), words)
    }

    private func ran(_ program: Executable, _ words: [String]) async throws -> ControlResult {
        let result = try await run(
            program,
            arguments: Arguments(words),
            environment: .custom(["LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"]),
            input: .none,
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        let status: Int32 = if case .exited(let code) = result.terminationStatus { code } else { -1 }
        return ControlResult(status: status, output: result.standardOutput, error: result.standardError)
    }

    @Test func `through any node of a cluster, if the namespace has braces`() async throws {
        try await withCluster { cluster in
            for (number, node) in cluster.masters.enumerated() {
                let url = "redis://\(node.node)"
                let place = ["--redis", url, "--namespace", "{interrupt}"]
                let submitted = try await ran(
                    .path(Control.path),
                    ["submit", "--id", "j\(number)"] + place + ["--", "x"]
                )
                #expect(submitted.status == 0, "\(submitted)")
                #expect(try await ran(.path(Control.path), ["list"] + place).output.contains("j\(number)"))

                let refused = try await control("list", "--redis", url)
                #expect(refused.status == 64)
                #expect(refused.error.split(separator: "\n").count == 1)
                #expect(refused.error.contains("is a cluster: pass --namespace '{interrupt}'"), "\(refused.error)")
                #expect(!refused.error.contains("CROSSSLOT") && !refused.error.contains("MOVED"))
            }
        }
    }

    @Test func `through sentinels, where a replica that is named itself refuses`() async throws {
        try await withSentinels { servers in
            let replica = "redis://\(servers.servers[1].node)"
            let refused = try await control("submit", "--id", "j", "--redis", replica, "--", "x")
            #expect(refused.status == 1)
            #expect(refused.error.hasPrefix("error: refused by Redis: READONLY"), "\(refused.error)")
            #expect(refused.error.contains("hint: this is a replica"))
            let submitted = try await control("submit", "--id", "j", "--redis", servers.url, "--", "x")
            #expect(submitted.status == 0, "\(submitted)")
            _ = try await servers.swap()
            let again = try await control("submit", "--id", "k", "--redis", servers.url, "--", "x")
            #expect(again.status == 0, "\(again)")
        }
    }

    @Test func `through sentinels that want a password, and says whose it is when it is wrong`() async throws {
        try await withSentinels(password: "s3ntinel") { servers in
            let file = try #require(servers.passwordFile)
            let words = ["list", "--redis", servers.url, "--sentinel-password-file", file]
            let list = try await ran(.path(Control.path), words)
            #expect(list.status == 0, "\(list)")
            _ = try writeSecret("other", to: file)
            let refused = try await ran(.path(Control.path), words)
            #expect(refused.status == 77, "\(refused)")
            #expect(refused.error.contains("hint: check the file of --sentinel-password-file"), "\(refused.error)")
        }
    }

    @Test(.enabled(if: OwnHosts.arePossible, "only who may mount can give a name two addresses"))
    func `within a second when the first address of its name is dead`() async throws {
        try await withRedis(arguments: ["--bind", "127.0.0.2"], tcp: true) { redis in
            try await withTemporaryDirectory { directory in
                let silent = try SilentPort(redis.port!)
                defer { silent.end() }
                let script = """
                    mount --bind "$1" /etc/hosts && getent ahostsv4 two.test && exec "$2" list --redis "$3"
                    """
                let url = "redis://two.test:\(redis.port!)"
                func time(_ addresses: String...) async throws -> Duration {
                    let file = "\(directory)/hosts"
                    let hosts = addresses.map { "\($0) two.test\n" }.joined()
                    try hosts.write(toFile: file, atomically: false, encoding: .utf8)
                    let start = ContinuousClock.now
                    let words = ["--mount", "sh", "-c", script, "sh", file, Control.path.string, url]
                    let result = try await ran(.name("unshare"), words)
                    #expect(result.status == 0, "\(result)")
                    #expect(result.output.hasPrefix(addresses[0]), "\(result)")
                    return start.duration(to: .now)
                }
                // More than the programs themselves take here and now; one of several tries is calm.
                var more: [Duration] = []
                repeat {
                    let alone = try await time("127.0.0.2")
                    more.append(try await time("127.0.0.1", "127.0.0.2") - alone)
                } while more.count < 5 && more.last! >= .seconds(1)
                print("two addresses, the first one dead: \(more) more")
                #expect(more.last! < .seconds(1))
            }
        }
    }
}

/// Names of hosts that only one process and its children know.
private enum OwnHosts {
    /// Only root may mount, and not in every container.
    static let arePossible =
        geteuid() == 0 && system("unshare --mount mount --bind /etc/hosts /etc/hosts >/dev/null 2>&1") == 0
}

/// A port of 127.0.0.1 on which nobody answers: whoever connects waits, because the queue of the socket is full.
private struct SilentPort {
    private let descriptors: [Int32]

    init(_ port: Int) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let (kind, length) = (Int32(SOCK_STREAM.rawValue), socklen_t(MemoryLayout<sockaddr_in>.size))
        let listener = socket(AF_INET, kind, 0)
        let callers = (0..<4).map { _ in socket(AF_INET, kind | Int32(SOCK_NONBLOCK.rawValue), 0) }
        descriptors = [listener] + callers
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                guard bind(listener, pointer, length) == 0, listen(listener, 0) == 0 else { return false }
                for caller in callers { _ = connect(caller, pointer, length) }
                return true
            }
        }
        if !isBound { throw Errno(rawValue: errno) }
    }

    func end() {
        for descriptor in descriptors { close(descriptor) }
    }
}
