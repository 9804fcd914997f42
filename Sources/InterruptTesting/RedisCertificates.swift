public import InterruptRedis
import Subprocess
import SystemPackage

/// Certificates for a TLS server and its clients, signed by an authority of their own, made with `openssl`.
public struct RedisCertificates: Sendable {
    /// The directory all files are in.
    public let directory: String
    /// The authority that signed the server's and the client's certificate.
    public var authority: String { "\(directory)/ca.crt" }
    /// The server's certificate, for `localhost` and 127.0.0.1 if nothing else was asked for.
    public var serverCertificate: String { "\(directory)/server.crt" }
    /// The server's key.
    public var serverKey: String { "\(directory)/server.key" }
    /// What a client needs: authority, certificate and key.
    public var clientFiles: RedisEndpoint.TLSFiles {
        RedisEndpoint.TLSFiles(
            certificateAuthority: authority,
            certificate: "\(directory)/client.crt",
            key: "\(directory)/client.key"
        )
    }

    /// What a server is told so that it speaks TLS on this port, and with its peers: settings and their values.
    func settings(port: Int) -> [(name: String, value: String)] {
        [
            ("port", "0"), ("tls-port", "\(port)"), ("tls-replication", "yes"), ("tls-ca-cert-file", authority),
            ("tls-cert-file", serverCertificate), ("tls-key-file", serverKey),
        ]
    }

    /// Makes new certificates in a directory.
    /// - `serverNames`: what the server's certificate is for, as openssl writes it.
    /// - `isExpired`: whether the server's certificate was good until yesterday.
    public static func make(
        in directory: String,
        serverNames: String = "DNS:localhost,IP:127.0.0.1",
        isExpired: Bool = false
    ) async throws -> RedisCertificates {
        let files = RedisCertificates(directory: directory)
        try await files.request("ca", subject: "/CN=test authority", extensions: ["basicConstraints=critical,CA:TRUE"])
        try await files.request(
            "server",
            subject: "/CN=server",
            extensions: ["subjectAltName=\(serverNames)"],
            signed: true
        )
        if isExpired { try await files.expire("server", names: serverNames) }
        try await files.request(
            "client",
            subject: "/CN=client",
            extensions: ["subjectAltName=DNS:client"],
            signed: true
        )
        return files
    }

    private func request(_ name: String, subject: String, extensions: [String], signed: Bool = false) async throws {
        var arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        ]
        arguments += ["-subj", subject, "-keyout", "\(directory)/\(name).key", "-out", "\(directory)/\(name).crt"]
        for text in extensions { arguments += ["-addext", text] }
        if signed { arguments += ["-CA", authority, "-CAkey", "\(directory)/ca.key"] }
        if signed { arguments += ["-addext", "basicConstraints=critical,CA:FALSE"] }
        try await openssl(arguments)
    }

    /// Signs the key of a certificate once more, with an end that is past.
    private func expire(_ name: String, names: String) async throws {
        let (request, certificate) = ("\(directory)/\(name).csr", "\(directory)/\(name).crt")
        try await openssl([
            "req", "-new", "-key", "\(directory)/\(name).key", "-subj", "/CN=\(name)", "-out", request, "-addext",
            "subjectAltName=\(names)",
        ])
        try await openssl([
            "x509", "-req", "-in", request, "-days", "-1", "-copy_extensions", "copyall", "-CA", authority, "-CAkey",
            "\(directory)/ca.key", "-out", certificate,
        ])
    }

    private func openssl(_ arguments: [String]) async throws {
        let result = try await run(
            .name("openssl"),
            arguments: Arguments(arguments),
            output: .discarded,
            error: .string(limit: 16_384)
        )
        guard result.terminationStatus.isSuccess else {
            throw TestRedisError(description: "openssl failed: \(result.standardError)")
        }
    }
}
