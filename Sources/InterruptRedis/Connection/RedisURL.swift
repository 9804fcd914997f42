import InterruptCore

/// Which part of a Redis URL is wrong. Never repeats a password.
public struct RedisURLError: Error, Hashable, CustomStringConvertible {
    /// One sentence: which part is wrong, and what is accepted.
    public let description: String

    init(_ description: String) { self.description = description }
}

extension RedisEndpoint {
    /// Reads `redis://[user[:password]@]host[:port][/db]`, the same with `rediss://` for TLS, and
    /// `redis+unix:///path[?db=N]` or `unix:///path`. IPv6 addresses stand in brackets; user, password and path may be
    /// percent-encoded; the port is 6379 and the database 0 if not said.
    ///
    /// `redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/master[/db]` names sentinels, with the port 26379 if
    /// not said, and the master that they watch; user and password are the master's. `rediss+sentinel://` speaks TLS with
    /// both.
    ///
    /// - Throws: ``RedisURLError`` that says which part is wrong.
    public init(url: String) throws(RedisURLError) {
        guard let separator = url.firstRange(of: "://") else {
            throw RedisURLError(
                "a Redis URL begins with a scheme: redis://, rediss://, redis+unix:// or redis+sentinel://"
            )
        }
        let rest = url[separator.upperBound...]
        switch url[..<separator.lowerBound] {
        case "redis": try self.init(tcp: rest, usesTLS: false)
        case "rediss": try self.init(tcp: rest, usesTLS: true)
        case "redis+unix", "unix": try self.init(unix: rest)
        case "redis+sentinel": try self.init(sentinels: rest, usesTLS: false)
        case "rediss+sentinel": try self.init(sentinels: rest, usesTLS: true)
        // What has anything else in it is no scheme, but may have a password.
        case let scheme where !scheme.utf8.allSatisfy(Self.isOfScheme):
            throw RedisURLError("the Redis URL begins with no scheme: use redis://, rediss:// (TLS) or redis+unix://")
        case let scheme:
            throw RedisURLError(
                "scheme '\(String(scheme).escapedForDisplay(limit: 40))' of the Redis URL is not known: "
                    + "use redis://, rediss:// (TLS), redis+unix:// or redis+sentinel://"
            )
        }
    }

    private static func isOfScheme(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private init(tcp rest: Substring, usesTLS: Bool) throws(RedisURLError) {
        // The last @ ends the credentials, so that an @ in a password that was not encoded does no harm.
        let (credentials, location) = rest.splitAtLast("@")
        let (username, password) = try Self.credentials(credentials)
        let (authority, database) = location.splitAtFirst("/")
        let (host, port) = try Self.hostAndPort(authority)
        self.init(
            address: .tcp(host: host, port: port),
            username: username,
            password: password,
            database: try Self.database(database),
            usesTLS: usesTLS
        )
    }

    private init(sentinels rest: Substring, usesTLS: Bool) throws(RedisURLError) {
        let (credentials, location) = rest.splitAtLast("@")
        let (username, password) = try Self.credentials(credentials)
        let (authorities, path) = location.splitAtFirst("/")
        var nodes: [RedisNode] = []
        for authority in authorities.split(separator: ",", omittingEmptySubsequences: false) {
            let (host, port) = try Self.hostAndPort(authority, defaultPort: 26_379)
            nodes.append(RedisNode(host: host, port: port))
        }
        let (master, database) = (path ?? "").splitAtFirst("/")
        guard !master.isEmpty else {
            throw RedisURLError("the master's name is missing: write redis+sentinel://host:26379/name")
        }
        // What is wrong is not repeated: it may be a piece of a password.
        guard master.utf8.allSatisfy(\.isAllowedInMasterName) else {
            throw RedisURLError("the master's name in the Redis URL has a character that sentinels do not allow")
        }
        self.init(
            address: .sentinels(RedisSentinels(nodes, master: String(master))),
            username: username,
            password: password,
            database: try Self.database(database),
            usesTLS: usesTLS
        )
    }

    private init(unix rest: Substring) throws(RedisURLError) {
        let (location, query) = rest.splitAtFirst("?")
        guard let slash = location.firstIndex(of: "/") else {
            throw RedisURLError("the path of the Unix socket is missing: write redis+unix:///run/redis.sock")
        }
        let authority = location[..<slash]
        guard authority.isEmpty || authority.hasSuffix("@") else {
            throw RedisURLError("a Unix socket has no host: write three slashes, redis+unix:///run/redis.sock")
        }
        let (username, password) = try Self.credentials(authority.isEmpty ? nil : authority.dropLast())
        guard let path = String(location[slash...]).percentDecoded else {
            throw RedisURLError("the path of the Redis URL has a percent sign without two hexadecimal digits")
        }
        guard path.utf8.count > 1 else { throw RedisURLError("the path of the Unix socket is missing") }
        guard path.utf8.count <= 107, !path.utf8.contains(0) else {
            throw RedisURLError(
                "the path of the Unix socket has \(path.utf8.count) bytes; Linux allows 107 without NUL"
            )
        }
        var database = 0
        if let query {
            guard query.hasPrefix("db=") else {
                throw RedisURLError("the query of the Redis URL is not understood: only ?db=N is accepted")
            }
            database = try Self.database(query.dropFirst(3))
        }
        self.init(address: .unix(path: path), username: username, password: password, database: database)
    }

    private static func credentials(_ text: Substring?) throws(RedisURLError) -> (String?, String?) {
        guard let text else { return (nil, nil) }
        let (user, secret) = text.splitAtFirst(":")
        guard let username = String(user).percentDecoded else {
            throw RedisURLError("the user of the Redis URL has a percent sign without two hexadecimal digits")
        }
        guard let secret else { return (username.isEmpty ? nil : username, nil) }
        guard let password = String(secret).percentDecoded else {
            throw RedisURLError(
                "the password of the Redis URL has a percent sign without two hexadecimal digits: write % as %25"
            )
        }
        return (username.isEmpty ? nil : username, password)
    }

    private static func hostAndPort(
        _ authority: Substring,
        defaultPort: Int = 6_379
    ) throws(RedisURLError) -> (String, Int) {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw RedisURLError("the bracket before the IPv6 address in the Redis URL is not closed")
            }
            let host = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            guard host.contains(":") else { throw RedisURLError("the brackets in the Redis URL hold no IPv6 address") }
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw RedisURLError("after the IPv6 address in the Redis URL only :port may follow")
            }
            return (String(host), try port(rest.isEmpty ? nil : rest.dropFirst()) ?? defaultPort)
        }
        guard authority.filter({ $0 == ":" }).count <= 1 else {
            throw RedisURLError("an IPv6 address in a Redis URL stands in brackets: redis://[::1]:6379")
        }
        let (host, portText) = authority.splitAtFirst(":")
        guard !host.isEmpty else { throw RedisURLError("the host of the Redis URL is empty") }
        // What is wrong is not repeated: it may be a piece of a password.
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && !"?#%\\".utf8.contains($0) }) else {
            throw RedisURLError("the host of the Redis URL has a character that a host name cannot have")
        }
        return (String(host), try port(portText) ?? defaultPort)
    }

    private static func port(_ text: Substring?) throws(RedisURLError) -> Int? {
        guard let text else { return nil }
        guard text.isAllDigits, let port = Int(text), 1...65_535 ~= port else {
            throw RedisURLError("the port of the Redis URL is not a number from 1 to 65535")
        }
        return port
    }

    private static func database(_ text: Substring?) throws(RedisURLError) -> Int {
        guard let text, !text.isEmpty else { return 0 }
        guard text.isAllDigits, let database = Int(text), database < 65_536 else {
            throw RedisURLError("the database of the Redis URL is not a number from 0 to 65535")
        }
        return database
    }
}

extension UInt8 {
    fileprivate var isAllowedInMasterName: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

extension Substring {
    fileprivate var isAllDigits: Bool { !isEmpty && utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 } }

    /// What is before the first separator, and what is after it, if it is there.
    fileprivate func splitAtFirst(_ separator: Character) -> (Substring, Substring?) {
        guard let index = firstIndex(of: separator) else { return (self, nil) }
        return (self[..<index], self[self.index(after: index)...])
    }

    /// What is before the last separator, if it is there, and what is after it.
    fileprivate func splitAtLast(_ separator: Character) -> (Substring?, Substring) {
        guard let index = lastIndex(of: separator) else { return (nil, self) }
        return (self[..<index], self[self.index(after: index)...])
    }
}

extension String {
    /// The text without its percent-encoding; `nil` if a percent sign lacks its two digits or the bytes are not UTF-8.
    var percentDecoded: String? {
        var bytes: [UInt8] = []
        var rest = Array(utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16), high != UInt8(ascii: "+")
            else { return nil }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The text with everything encoded that has a meaning in a URL.
    var percentEncodedForURL: String {
        var result = ""
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}
