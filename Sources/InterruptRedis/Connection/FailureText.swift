import Glibc
import InterruptCore
import NIOCore
import NIOPosix
import NIOSSL

/// Says in words a user understands what NIO and BoringSSL report.
enum FailureText {
    static func sentence(for error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError: sentence(for: error)
        case let error as IOError: systemText(error.errnoCode)
        case let error as ChannelError: sentence(for: error)
        case TLSFileError.unreadable(let path, let code):
            "\(path.escapedForDisplay()): \(String(cString: strerror(code)))"
        case TLSFileError.keyOfAnotherCertificate: "certificate and key do not belong together"
        case let error as SocketAddressError: "the address is not usable: \(error)"
        default: tlsSentence(String(describing: error))
        }
    }

    private static func sentence(for error: NIOConnectionError) -> String {
        if let failure = error.connectionErrors.first {
            let texts = error.connectionErrors.map { sentence(for: $0.error) }
            return Set(texts).count == 1 ? sentence(for: failure.error) : texts.joined(separator: "; ")
        }
        if error.dnsAError != nil || error.dnsAAAAError != nil { return "the host name cannot be resolved" }
        return "no address of the host answered"
    }

    private static func sentence(for error: ChannelError) -> String {
        if case .connectTimeout = error { return "no answer in time" }
        return String(describing: error)
    }

    private static func systemText(_ code: CInt) -> String {
        switch code {
        case ECONNREFUSED: "connection refused"
        case ECONNRESET, EPIPE: "the server reset the connection"
        case ENOENT: "there is no such socket"
        case EACCES, EPERM: "permission denied"
        case ETIMEDOUT: "no answer in time"
        case EHOSTUNREACH, ENETUNREACH: "the host is unreachable"
        default: String(describing: IOError(errnoCode: code, reason: "connection"))
        }
    }

    /// BoringSSL's reasons are known by their names only.
    private static func tlsSentence(_ text: String) -> String {
        let known =
            aboutCertificates + [
                ("WRONG_VERSION_NUMBER", "the server does not speak TLS: use redis:// instead of rediss://"),
                ("uncleanShutdown", "the server closed the connection"),
            ]
        return known.first { text.contains($0.0) }?.1 ?? text
    }

    private static let aboutCertificates = [
        ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not signed by an accepted authority or has expired"),
        ("failedToValidateHostname", "the server's certificate is for another host name"),
        ("unableToValidateCertificate", "the server's certificate is for another host"),
        ("CERTIFICATE_REQUIRED", "the server asks for a client certificate"),
        ("UNKNOWN_CA", "the server does not accept the client certificate"),
        ("KEY_VALUES_MISMATCH", "certificate and key do not belong together"),
        ("failedToLoadCertificate", "a certificate file cannot be read"),
        ("failedToLoadPrivateKey", "the key file cannot be read"),
    ]

    /// Whether another attempt with the same settings fails in the same way.
    static func isAboutSettings(_ error: any Error) -> Bool {
        if error is TLSFileError { return true }
        let text = String(describing: error)
        return aboutCertificates.contains { text.contains($0.0) }
    }
}

/// Why the files for TLS cannot be used, where NIOSSL does not say it.
enum TLSFileError: Error {
    case unreadable(path: String, code: CInt)
    case keyOfAnotherCertificate
}

extension RedisError {
    /// Whether the operating system says that nothing listens at the endpoint: connection refused, or no such socket. A
    /// server that hangs is no such case, although it cannot be connected to either.
    public var isNobodyListening: Bool {
        switch underlying {
        case let error as IOError: error.saysNobodyListens
        case let error as NIOConnectionError:
            // Every address of the host has to say so.
            !error.connectionErrors.isEmpty
                && error.connectionErrors.allSatisfy { ($0.error as? IOError)?.saysNobodyListens == true }
        default: false
        }
    }
}

extension IOError {
    fileprivate var saysNobodyListens: Bool { errnoCode == ENOENT || errnoCode == ECONNREFUSED }
}
