import Glibc
import InterruptCore

/// Where Redis is, which namespace and which key to sign with, as both programs are told: by flag, else environment, else
/// default.
public struct EndpointSettings: Sendable {
    /// The URL; `nil` is the embedded server of this user.
    public var redisURL: String?
    /// A file that holds the password.
    public var passwordFile: String?
    /// A file that holds the password of the sentinels, which may differ from the master's.
    public var sentinelPasswordFile: String?
    /// The certificates (PEM) that may sign the server's.
    public var tlsCA: String?
    /// This client's certificate (PEM).
    public var tlsCert: String?
    /// The key (PEM) of this client's certificate.
    public var tlsKey: String?
    /// The namespace.
    public var namespace: String?
    /// A file that holds the key that submissions and requests are signed with.
    public var signKeyFile: String?
    /// Where the embedded server's socket is.
    public var runtimeDirectory: RuntimeDirectory

    /// Settings from flags, `nil` where a flag was not given, and from `INTERRUPT_REDIS_URL`,
    /// `INTERRUPT_REDIS_PASSWORD_FILE`, `INTERRUPT_SENTINEL_PASSWORD_FILE`, `INTERRUPT_TLS_CA`, `INTERRUPT_TLS_CERT`,
    /// `INTERRUPT_TLS_KEY`, `INTERRUPT_NAMESPACE` and `INTERRUPT_SIGN_KEY`. An empty variable counts as not set.
    public init(
        redisURL: String? = nil,
        passwordFile: String? = nil,
        sentinelPasswordFile: String? = nil,
        tlsCA: String? = nil,
        tlsCert: String? = nil,
        tlsKey: String? = nil,
        namespace: String? = nil,
        signKeyFile: String? = nil,
        environment: [String: String]
    ) {
        func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        self.redisURL = redisURL ?? variable("INTERRUPT_REDIS_URL")
        self.passwordFile = passwordFile ?? variable("INTERRUPT_REDIS_PASSWORD_FILE")
        self.sentinelPasswordFile = sentinelPasswordFile ?? variable("INTERRUPT_SENTINEL_PASSWORD_FILE")
        self.tlsCA = tlsCA ?? variable("INTERRUPT_TLS_CA")
        self.tlsCert = tlsCert ?? variable("INTERRUPT_TLS_CERT")
        self.tlsKey = tlsKey ?? variable("INTERRUPT_TLS_KEY")
        self.namespace = namespace ?? variable("INTERRUPT_NAMESPACE")
        self.signKeyFile = signKeyFile ?? variable("INTERRUPT_SIGN_KEY")
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

    /// The endpoint with its password and TLS files. Reads the password files, to see whether that is possible.
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
        if let passwordFile {
            endpoint.password = nil
            endpoint.passwordFile = passwordFile
            _ = try SecretFile.password(in: passwordFile)
        }
        if let sentinelPasswordFile {
            guard case .sentinels(var sentinels) = endpoint.address else {
                throw SettingsError(
                    .invalid,
                    "a file with the sentinels' password is given, but --redis names no sentinels",
                    hint: "use redis+sentinel://, or leave --sentinel-password-file out"
                )
            }
            sentinels.passwordFile = sentinelPasswordFile
            endpoint.address = .sentinels(sentinels)
            _ = try SecretFile.password(in: sentinelPasswordFile)
        }
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

    /// The key that submissions and requests are signed with; `nil` when none is named. Reads its file.
    ///
    /// - Throws: ``SettingsError`` that says what is wrong with the file; never with what is in it.
    public func signingKey() throws(SettingsError) -> SigningKey? {
        guard let signKeyFile else { return nil }
        let file = SecretFile(path: signKeyFile, name: "key file")
        let bytes = try file.read()
        guard let key = SigningKey(bytes) else {
            throw file.refused(
                "has \(bytes.count) bytes, a key needs \(SigningKey.minimumLength) at least",
                hint: "make one with 'openssl rand -hex 32'"
            )
        }
        return key
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
