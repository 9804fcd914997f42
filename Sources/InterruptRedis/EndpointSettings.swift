import Glibc
import InterruptCore

/// Where Redis is and which namespace, as both programs are told: by flag, else environment, else default.
public struct EndpointSettings: Sendable {
    /// The URL; `nil` is the embedded server of this user.
    public var redisURL: String?
    /// A file that holds the password.
    public var passwordFile: String?
    /// The certificates (PEM) that may sign the server's.
    public var tlsCA: String?
    /// This client's certificate (PEM).
    public var tlsCert: String?
    /// The key (PEM) of this client's certificate.
    public var tlsKey: String?
    /// The namespace.
    public var namespace: String?
    /// Where the embedded server's socket is.
    public var runtimeDirectory: RuntimeDirectory

    /// Settings from flags, `nil` where a flag was not given, and from `INTERRUPT_REDIS_URL`,
    /// `INTERRUPT_REDIS_PASSWORD_FILE`, `INTERRUPT_TLS_CA`, `INTERRUPT_TLS_CERT`, `INTERRUPT_TLS_KEY` and
    /// `INTERRUPT_NAMESPACE`. An empty variable counts as not set.
    public init(
        redisURL: String? = nil,
        passwordFile: String? = nil,
        tlsCA: String? = nil,
        tlsCert: String? = nil,
        tlsKey: String? = nil,
        namespace: String? = nil,
        environment: [String: String]
    ) {
        func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        self.redisURL = redisURL ?? variable("INTERRUPT_REDIS_URL")
        self.passwordFile = passwordFile ?? variable("INTERRUPT_REDIS_PASSWORD_FILE")
        self.tlsCA = tlsCA ?? variable("INTERRUPT_TLS_CA")
        self.tlsCert = tlsCert ?? variable("INTERRUPT_TLS_CERT")
        self.tlsKey = tlsKey ?? variable("INTERRUPT_TLS_KEY")
        self.namespace = namespace ?? variable("INTERRUPT_NAMESPACE")
        runtimeDirectory = RuntimeDirectory.locate(environment: environment)
    }

    /// Whether no URL was given: then the embedded server of this user is meant.
    public var usesEmbeddedServer: Bool { redisURL == nil }

    /// The keys of the namespace.
    ///
    /// - Throws: ``SettingsError`` that says what is allowed.
    public func keys() throws(SettingsError) -> RedisKeys {
        do throws(NamespaceError) {
            return try RedisKeys(namespace: namespace ?? RedisKeys.defaultNamespace)
        } catch {
            throw SettingsError(.invalid, "namespace: \(error)")
        }
    }

    /// The endpoint with its password and TLS files. Reads the password file.
    ///
    /// - Throws: ``SettingsError`` that says which setting is wrong; never with a password.
    public func endpoint() throws(SettingsError) -> RedisEndpoint {
        guard let redisURL else { return try embeddedEndpoint() }
        var endpoint: RedisEndpoint
        do throws(RedisURLError) {
            endpoint = try RedisEndpoint(url: redisURL)
        } catch {
            throw SettingsError(.invalid, "--redis: \(error)")
        }
        endpoint.keys = try keys()
        if let passwordFile { endpoint.password = try Self.password(in: passwordFile) }
        if tlsCA != nil || tlsCert != nil || tlsKey != nil {
            guard (tlsCert == nil) == (tlsKey == nil) else {
                throw SettingsError(.invalid, "--tls-cert and --tls-key belong together: give both")
            }
            if case .unix = endpoint.address {
                throw SettingsError(.invalid, "TLS files are given, but a Unix socket does not speak TLS")
            }
            for (flag, path) in [("--tls-ca", tlsCA), ("--tls-cert", tlsCert), ("--tls-key", tlsKey)] {
                guard let path, access(path, R_OK) != 0 else { continue }
                let why = String(cString: strerror(errno))
                throw SettingsError(.invalid, "\(flag): \(path.escapedForDisplay()): \(why)")
            }
            endpoint.tls = .init(certificateAuthority: tlsCA, certificate: tlsCert, key: tlsKey)
        }
        return endpoint
    }

    private func embeddedEndpoint() throws(SettingsError) -> RedisEndpoint {
        let path = runtimeDirectory.socketPath(namespace: try keys().namespace)
        guard path.utf8.count <= 107 else {
            throw SettingsError(
                .refused,
                "the socket's path \(path.escapedForDisplay()) has \(path.utf8.count) bytes; Linux allows 107",
                hint: "set XDG_RUNTIME_DIR to a shorter path, or choose a shorter namespace"
            )
        }
        _ = try runtimeDirectory.exists()
        return RedisEndpoint(address: .unix(path: path))
    }

    /// The first line of a file that nobody else may read.
    static func password(in path: String) throws(SettingsError) -> String {
        let shown = path.escapedForDisplay()
        func refused(_ why: String, hint: String? = nil) -> SettingsError {
            SettingsError(.refused, "password file \(shown): \(why)", hint: hint)
        }
        // Not blocking: a FIFO that nobody writes must not hang the program.
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw refused(errno == ELOOP ? "is a symbolic link" : String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw refused("is not a regular file")
        }
        guard status.st_mode & 0o007 == 0 else {
            throw refused("every user of this machine may read or change it", hint: "run 'chmod 600 \(shown)'")
        }
        var bytes = [UInt8](repeating: 0, count: 4_097)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw refused(String(cString: strerror(errno))) }
        guard count <= 4_096 else { throw refused("is longer than 4096 bytes") }
        bytes.removeSubrange(count...)
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw refused("is empty") }
        guard let password = String(validating: bytes, as: UTF8.self) else { throw refused("is not UTF-8 text") }
        return password
    }
}

/// Why settings cannot be used.
public struct SettingsError: Error, Hashable, CustomStringConvertible {
    /// What kind of trouble it is.
    public enum Kind: Sendable {
        /// A setting is written wrong.
        case invalid
        /// A setting is right, but what it names must not or cannot be used.
        case refused
    }

    /// What kind of trouble it is.
    public let kind: Kind
    /// One sentence: which setting, and why. Never a password.
    public let description: String
    /// What to do about it.
    public let hint: String?

    /// An error from its parts.
    public init(_ kind: Kind, _ description: String, hint: String? = nil) {
        self.kind = kind
        self.description = description
        self.hint = hint
    }
}
