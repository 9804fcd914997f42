import InterruptCore

/// Where a Redis server is and who asks.
public struct RedisEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// How the server is reached.
    public enum Address: Sendable, Hashable {
        /// A host name or an IP address, and a port.
        case tcp(host: String, port: Int)
        /// The path of a Unix domain socket.
        case unix(path: String)
        /// The server that is the master of a name, wherever it is: sentinels are asked at every attempt to connect.
        case sentinels(RedisSentinels)
    }

    /// Files for TLS, each optional.
    public struct TLSFiles: Sendable, Hashable {
        /// The certificates (PEM) that may sign the server's; `nil` for the system's.
        public var certificateAuthority: String?
        /// This client's certificate (PEM), with intermediates if there are any.
        public var certificate: String?
        /// The key (PEM) of this client's certificate.
        public var key: String?

        var paths: [String] { [certificateAuthority, certificate, key].compactMap { $0 } }

        /// The paths.
        public init(certificateAuthority: String? = nil, certificate: String? = nil, key: String? = nil) {
            self.certificateAuthority = certificateAuthority
            self.certificate = certificate
            self.key = key
        }
    }

    /// How the server is reached.
    public var address: Address
    /// The user; `nil` is the server's default user.
    public var username: String?
    /// The password; never part of ``description`` or of an error.
    public var password: String?
    /// A file that holds the password, in place of ``password``. It is read at every attempt to connect, so that a new
    /// password counts from the next one on.
    public var passwordFile: String?
    /// The number of the database.
    public var database: Int
    /// Whether TLS is spoken. Ignored for Unix sockets.
    public var usesTLS: Bool
    /// Files for TLS; `nil` means the system's root certificates. Setting it turns TLS on: whoever names a certificate
    /// authority must not talk in the clear.
    public var tls: TLSFiles? {
        didSet { if tls != nil { usesTLS = true } }
    }

    /// The keys that are asked for. On a cluster every connection goes to the node that owns them and follows them to
    /// another one; they must be in one slot, which braces around the namespace see to. `nil`: it stays where the
    /// address leads.
    public var keys: RedisKeys?

    /// An endpoint from its parts.
    public init(
        address: Address,
        username: String? = nil,
        password: String? = nil,
        database: Int = 0,
        usesTLS: Bool = false,
        tls: TLSFiles? = nil,
        keys: RedisKeys? = nil
    ) {
        self.address = address
        self.username = username
        self.password = password
        self.database = database
        self.usesTLS = usesTLS || tls != nil
        self.tls = tls
        self.keys = keys
    }

    /// The URL without the password: `redis://user:***@host:6379/0`.
    public var description: String {
        var credentials = ""
        let hasPassword = password != nil || passwordFile != nil
        if username != nil || hasPassword {
            credentials = (username ?? "").percentEncodedForURL + (hasPassword ? ":***@" : "@")
        }
        let scheme = usesTLS ? "rediss" : "redis"
        switch address {
        case .tcp(let host, let port):
            return "\(scheme)://\(credentials)\(RedisNode(host: host, port: port))/\(database)".escapedForDisplay()
        case .unix(let path):
            let query = database == 0 ? "" : "?db=\(database)"
            return "redis+unix://\(credentials)\(path)\(query)".escapedForDisplay()
        case .sentinels(let sentinels):
            let nodes = sentinels.nodes.map(\.description).joined(separator: ",")
            return "\(scheme)+sentinel://\(credentials)\(nodes)/\(sentinels.master)/\(database)".escapedForDisplay()
        }
    }

    /// Whether a connection really speaks TLS.
    var speaksTLS: Bool {
        switch address {
        case .tcp, .sentinels: usesTLS
        case .unix: false
        }
    }

    /// Whether the server may want TLS that is not spoken to it. On a Unix socket none does.
    var mayLackTLS: Bool { if case .unix = address { false } else { !usesTLS } }

    /// Whom connections follow when another server is in charge.
    enum Following {
        /// Nobody: what the server at the address says is the answer.
        case nobody
        /// The node of a cluster that owns the keys, should it be one.
        case owner
        /// The master, which sentinels know.
        case master
    }

    var following: Following {
        if case .sentinels = address { return .master }
        return keys == nil ? .nobody : .owner
    }

    /// The same with the password that is in its file now.
    func withPassword() throws(SettingsError) -> RedisEndpoint {
        guard let passwordFile else { return self }
        var endpoint = self
        endpoint.password = try SecretFile.password(in: passwordFile)
        return endpoint
    }

    /// The same on this server.
    func at(_ node: RedisNode) -> RedisEndpoint {
        var endpoint = self
        endpoint.address = .tcp(host: node.host, port: node.port)
        return endpoint
    }
}

/// A server, as a URL, a sentinel or a node of a cluster names it.
public struct RedisNode: Sendable, Hashable, CustomStringConvertible {
    /// A host name or an IP address.
    public var host: String
    /// The TCP port.
    public var port: Int

    /// A server from its parts.
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, an IPv6 address in brackets.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Who knows where the master is.
public struct RedisSentinels: Sendable, Hashable {
    /// The sentinels, asked in this order until one answers. At least one.
    public var nodes: [RedisNode]
    /// The name under which they watch the master.
    public var master: String
    /// A file that holds the password of the sentinels themselves, read at every attempt to connect; `nil` where they ask
    /// for none, which is Redis's default.
    public var passwordFile: String?

    /// Sentinels, at least one, the name of the master that they watch, and the file with the password that they want.
    public init(_ nodes: [RedisNode], master: String, passwordFile: String? = nil) {
        precondition(!nodes.isEmpty, "there is at least one sentinel")
        self.nodes = nodes
        self.master = master
        self.passwordFile = passwordFile
    }
}
