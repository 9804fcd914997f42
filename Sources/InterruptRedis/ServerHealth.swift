/// What a server says of itself (`INFO`), as far as it bears on whether it takes what is asked and keeps it.
package struct ServerHealth: Sendable {
    package enum Grade: String, Sendable {
        case ok, warning, error
    }

    package struct Finding: Equatable, Sendable {
        package var grade: Grade
        /// What it is about, in one word.
        package var subject: String
        /// What is so, and what that means. What the server itself has said is in it as it is.
        package var text: String
        package var remedy: String?

        package init(_ grade: Grade, _ subject: String, _ text: String, remedy: String? = nil) {
            (self.grade, self.subject, self.text, self.remedy) = (grade, subject, text, remedy)
        }
    }

    package static let noFile = "not durable: this Redis has no append-only file; a restart of it loses requests"
    private static let oldest = [6, 2]

    private let fields: [Substring: Substring]

    /// - Parameter info: the reply to `INFO`; what is not in it is not judged.
    package init(info: String) {
        let pairs = info.split(whereSeparator: \.isNewline).compactMap { line -> (Substring, Substring)? in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (line[..<colon], line[line.index(after: colon)...])
        }
        fields = Dictionary(pairs) { first, _ in first }
    }

    /// Whether there is an append-only file, as far as the server says so.
    package var keepsFile: Bool { number("aof_enabled") != 0 }

    /// In the order in which they are of interest.
    package var findings: [Finding] { [version, role, file, disk, eviction, room].compactMap { $0 } }

    private func number(_ name: Substring) -> Int? { fields[name].flatMap { Int($0) } }

    private var version: Finding? {
        guard let version = fields["redis_version"] else { return nil }
        let parts = version.split(separator: ".").prefix(2).compactMap { Int($0) }
        if parts.count == 2, parts.lexicographicallyPrecedes(Self.oldest) {
            return Finding(
                .error,
                "version",
                "Redis \(version) is too old",
                remedy: "use Redis 6.2 or later, or Valkey"
            )
        }
        let product = fields["valkey_version"].map { "Valkey \($0)" } ?? "Redis \(version)"
        return Finding(.ok, "version", product)
    }

    private var role: Finding? {
        if number("loading") == 1 {
            return Finding(.error, "role", "it loads its data, and answers nothing until it has", remedy: "wait")
        }
        switch fields["role"] {
        case nil: return nil
        case "master":
            let replicas = number("connected_slaves") ?? 0
            return Finding(.ok, "role", "it is a master with \(replicas == 1 ? "1 replica" : "\(replicas) replicas")")
        default:
            let remedy = "use the address of its master, or of its sentinels with redis+sentinel://"
            return Finding(.error, "role", "it is a replica, and takes no requests", remedy: remedy)
        }
    }

    private var file: Finding? {
        if !keepsFile { return Finding(.warning, "file", Self.noFile, remedy: "set appendonly yes") }
        return fields["aof_enabled"].map { _ in Finding(.ok, "file", "it has an append-only file") }
    }

    private var disk: Finding? {
        let states = ["aof_last_write_status", "rdb_last_bgsave_status"].compactMap { fields[$0] }
        if states.isEmpty { return nil }
        if states.allSatisfy({ $0 == "ok" }) { return Finding(.ok, "disk", "its last write to disk has succeeded") }
        let text = "its last write to disk has failed, and it may refuse everything (MISCONF)"
        return Finding(.error, "disk", text, remedy: "look at its log and at the room on its disk")
    }

    private var eviction: Finding? {
        guard let policy = fields["maxmemory_policy"] else { return nil }
        if policy == "noeviction" { return Finding(.ok, "eviction", "it evicts no keys") }
        // Without a limit nothing is evicted yet.
        let grade = number("maxmemory") == 0 ? Grade.warning : .error
        return Finding(
            grade,
            "eviction",
            "not durable: this Redis may evict keys (\(policy))",
            remedy: "set maxmemory-policy noeviction"
        )
    }

    private var room: Finding? {
        guard let limit = number("maxmemory"), limit > 0, let used = number("used_memory"), used / 9 > limit / 10 else {
            return nil
        }
        let text = "\(used) of \(limit) bytes are used; when it is full, it refuses requests"
        return Finding(.warning, "memory", text, remedy: "give it more memory (maxmemory)")
    }
}
