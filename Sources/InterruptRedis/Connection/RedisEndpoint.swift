import InterruptCore

/// Where a Redis server is and who asks.
public struct RedisEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// How the server is reached.
    public enum Address: Sendable, Hashable {
        /// A host name or an IP address, and a port.
        case tcp(host: String, port: Int)
        /// The path of a Unix domain socket.
        case unix(path: String)
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
    /// The number of the database.
    public var database: Int
    /// Whether TLS is spoken. Ignored for Unix sockets.
    public var usesTLS: Bool
    /// Files for TLS; `nil` means the system's root certificates. Setting it turns TLS on: whoever names a certificate
    /// authority must not talk in the clear.
    public var tls: TLSFiles? {
        didSet { if tls != nil { usesTLS = true } }
    }

    /// An endpoint from its parts.
    public init(
        address: Address,
        username: String? = nil,
        password: String? = nil,
        database: Int = 0,
        usesTLS: Bool = false,
        tls: TLSFiles? = nil
    ) {
        self.address = address
        self.username = username
        self.password = password
        self.database = database
        self.usesTLS = usesTLS || tls != nil
        self.tls = tls
    }

    /// The URL without the password: `redis://user:***@host:6379/0`.
    public var description: String {
        var credentials = ""
        if username != nil || password != nil {
            credentials = (username ?? "").percentEncodedForURL + (password == nil ? "@" : ":***@")
        }
        switch address {
        case .tcp(let host, let port):
            let host = host.contains(":") ? "[\(host)]" : host
            return "\(usesTLS ? "rediss" : "redis")://\(credentials)\(host):\(port)/\(database)".escapedForDisplay()
        case .unix(let path):
            let query = database == 0 ? "" : "?db=\(database)"
            return "redis+unix://\(credentials)\(path)\(query)".escapedForDisplay()
        }
    }

    /// The place alone, for messages: `host:6379` or the path.
    var place: String {
        switch address {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }

    /// Whether a connection really speaks TLS.
    var speaksTLS: Bool {
        switch address {
        case .tcp: usesTLS
        case .unix: false
        }
    }
}
