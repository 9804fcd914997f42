import ArgumentParser
import InterruptCore
import InterruptRedis

/// What has to have a request before it counts as stored, beside the primary: so many replicas.
struct Durability: Hashable {
    /// How long they may take. Where they are near, it is milliseconds; the whole answer has five seconds.
    static let limit = Duration.milliseconds(900)
    private static let most = 64

    let replicas: Int

    /// - Parameter text: `replicas:N`.
    init(_ text: String) throws {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "replicas", parts[1].utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let count = Int(parts[1]), 1...Self.most ~= count
        else { throw ValidationError("write replicas:N, with N from 1 to \(Self.most), such as replicas:1") }
        replicas = count
    }

    /// How many replicas have what this connection has written. A connection that breaks now has proved none.
    func replication(over connection: RedisConnection) async -> Replication {
        let stored = try? await connection.replicas(replicas, within: Self.limit)  // no answer is no proof
        return Replication(stored: stored ?? 0, wanted: replicas)
    }
}

/// How many replicas have a request, of how many that were asked for.
struct Replication: Hashable, Sendable {
    let stored: Int
    let wanted: Int

    var isShort: Bool { stored < wanted }

    /// More may have it than were asked for.
    var text: String { "stored on \(stored) of \(max(stored, wanted)) replicas" }

    /// Why it is not as durable as asked, and what that means.
    ///
    /// - Parameter what: what is on record, with its verb; escaped already.
    func shortage(of what: String) -> CommandFailure {
        CommandFailure(
            .unconfirmed,
            "\(what), but \(text)",
            hint: "nothing was undone, and it is applied as long as this Redis keeps it; "
                + "until the replicas have it, a fail-over loses it"
        )
    }
}

extension ControlConnection {
    /// Whether the server has an append-only file, as far as it says so.
    ///
    /// - Throws: also when this user may not wait for replicas.
    fileprivate func keepsFile() async throws(RedisError) -> Bool {
        let replies = try await send([RedisCommand("INFO", "persistence"), RedisCommand("WAIT", "0", "1")])
        if let text = replies[1].errorText { throw RedisError.fromReply(text) }
        return ServerHealth(info: replies[0].text ?? "").keepsFile
    }
}

extension Session {
    /// Asks before anything is written whether replicas may be waited for, and says when a restart of the server would lose
    /// what is written.
    func prepare(_ durability: Durability?) async throws(CommandFailure) {
        if durability == nil { return }
        let keepsFile = try await asking { () async throws(RedisError) in try await connection.keepsFile() }
        if !keepsFile { StandardStreams.error("warning: \(ServerHealth.noFile)") }
    }
}
