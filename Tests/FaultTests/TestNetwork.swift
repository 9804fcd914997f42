import Foundation
import Glibc
import InterruptTesting
import Subprocess
import Synchronization
import SystemPackage
import Testing

/// How many networks this process has made: a new one never waits for what is left of an old one.
private let made = Atomic<Int32>(0)

/// A network of two hosts: this one, and a namespace of its own at the other end of a cable.
struct TestNetwork: Sendable {
    /// Whether this machine lets us make one. Only root can, and not in every container.
    static let isPossible: Bool = {
        let script =
            "ip netns add it-probe-$$ && ip netns exec it-probe-$$ nft list ruleset && ip netns del it-probe-$$"
        return geteuid() == 0 && system("(\(script)) >/dev/null 2>&1") == 0
    }()

    private let name: String
    private let number: Int32
    /// This host's address on the cable.
    var address: String { "10.213.\(number % 250).1" }
    /// What a command begins with that is to run on the other host.
    var prefix: [String] { ["ip", "netns", "exec", name] }

    /// Runs `body` with a network that is gone afterwards.
    static func with<R>(_ body: (TestNetwork) async throws -> R) async throws -> R {
        let number = getpid() % 100_000 * 10 + made.add(1, ordering: .relaxed).oldValue % 10
        let network = TestNetwork(name: "it-\(number)", number: number)
        try await shell(
            """
            ip netns add \(network.name)
            ip link add it\(number)a type veth peer name it\(number)b
            ip link set it\(number)b netns \(network.name)
            ip addr add \(network.address)/24 dev it\(number)a
            ip link set it\(number)a up
            \(network.there) ip addr add 10.213.\(number % 250).2/24 dev it\(number)b
            \(network.there) ip link set it\(number)b up
            \(network.there) ip link set lo up
            """
        )
        do {
            let result = try await body(network)
            try await network.remove()
            return result
        } catch {
            try await network.remove()
            throw error
        }
    }

    private var there: String { prefix.joined(separator: " ") }

    private func remove() async throws { try await shell("ip link del it\(number)a; ip netns del \(name)") }

    /// Plugs the cable in or out at the other host.
    func cable(isPlugged: Bool) async throws {
        try await shell("\(there) ip link set it\(number)b \(isPlugged ? "up" : "down")")
    }

    /// Drops every packet of a port without a word, on its way to this host or from it, as the other host sees it.
    func drop(port: Int, sent: Bool, received: Bool) async throws {
        var lines = ["add table inet f"]
        if sent {
            lines += ["add chain inet f out { type filter hook output priority 0; }"]
            lines += ["add rule inet f out tcp dport \(port) drop"]
        }
        if received {
            lines += ["add chain inet f in { type filter hook input priority 0; }"]
            lines += ["add rule inet f in tcp sport \(port) drop"]
        }
        try await shell("printf '%s\\n' '\(lines.joined(separator: "' '"))' | \(there) nft -f -")
    }

    /// Drops nothing any more.
    func heal() async throws { try await shell("\(there) nft flush ruleset") }
}

/// Runs a script that must succeed.
func shell(_ script: String) async throws {
    let result = try await run(
        .path("/bin/sh"),
        arguments: ["-ec", script],
        output: .discarded,
        error: .string(limit: 10_000)
    )
    try #require(result.terminationStatus.isSuccess, "\(result.standardError)")
}
