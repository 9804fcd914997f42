/// A Lua script that the server runs as one atomic step, named by the digest of its source.
public struct RedisScript: Sendable, Hashable {
    /// What errors and logs call it.
    public let name: String
    /// The Lua source.
    public let source: String
    /// The SHA-1 of the source in hexadecimal digits: the name under which a server caches it.
    public let digest: String

    /// A script; the digest is computed here, so keep scripts in static constants.
    public init(name: String, source: String) {
        self.name = name
        self.source = source
        digest = SHA1.hexadecimalDigest(of: source.utf8)
    }

    /// Runs the script if the server still has it.
    func byDigest(keys: [String], arguments: [RedisArgument]) -> RedisCommand {
        RedisCommand("EVALSHA", [.text(digest), .number(keys.count)] + keys.map { .text($0) } + arguments)
    }

    /// Runs the script and lets the server cache it.
    func bySource(keys: [String], arguments: [RedisArgument]) -> RedisCommand {
        RedisCommand("EVAL", [.text(source), .number(keys.count)] + keys.map { .text($0) } + arguments)
    }
}
