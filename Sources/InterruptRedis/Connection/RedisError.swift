import InterruptCore

/// Why a command, a connection or a subscription failed.
public struct RedisError: Error, Sendable, CustomStringConvertible {
    /// The kind of a failure.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case cannotConnect, wrongSettings, unsuitableNamespace, notARedisServer
            case authenticationFailed, refusedBySentinels, notPermitted
            case connectionLost, timedOut, reply, closed, cancelled
        }

        private let kind: Kind

        /// No connection now: unknown host, refused, no answer.
        public static let cannotConnect = Code(kind: .cannotConnect)
        /// No connection with these settings, now or later: a certificate is not accepted, a TLS file cannot be used, the
        /// database does not exist.
        public static let wrongSettings = Code(kind: .wrongSettings)
        /// The server is a cluster, and the namespace has no braces to keep its keys on one node.
        public static let unsuitableNamespace = Code(kind: .unsuitableNamespace)
        /// Something answered, but not in the protocol of Redis.
        public static let notARedisServer = Code(kind: .notARedisServer)
        /// User name or password are wrong or missing (`WRONGPASS`, `NOAUTH`).
        public static let authenticationFailed = Code(kind: .authenticationFailed)
        /// All sentinels say that their password is wrong or missing. The master has not been asked.
        public static let refusedBySentinels = Code(kind: .refusedBySentinels)
        /// The user may not do that (`NOPERM`).
        public static let notPermitted = Code(kind: .notPermitted)
        /// The connection broke.
        public static let connectionLost = Code(kind: .connectionLost)
        /// There was no reply in time; the connection is closed with it.
        public static let timedOut = Code(kind: .timedOut)
        /// Any other error reply of the server.
        public static let reply = Code(kind: .reply)
        /// The connection was closed by this program.
        public static let closed = Code(kind: .closed)
        /// The waiting task was cancelled. A command that was written may be carried out all the same.
        public static let cancelled = Code(kind: .cancelled)

        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// The kind of the failure.
    public var code: Code
    /// One sentence: what failed and why.
    public var message: String
    /// The error below it, if there is one.
    public var underlying: (any Error)?
    /// Whether the command may have been executed: it was written before the connection was lost or the time was up.
    public var isOutcomeUnknown: Bool
    /// Whether a part of what was asked for was carried out before this happened.
    public var isPartlyDone = false
    /// The first word of an error reply if it is a code: `LOADING`, `READONLY`, `MISCONF`, `OOM`, `BUSY`, `NOSCRIPT`, ….
    public var replyPrefix: String?

    /// An error from its parts.
    public init(
        _ code: Code,
        _ message: String,
        underlying: (any Error)? = nil,
        isOutcomeUnknown: Bool = false,
        replyPrefix: String? = nil
    ) {
        self.code = code
        self.message = message
        self.underlying = underlying
        self.isOutcomeUnknown = isOutcomeUnknown
        self.replyPrefix = replyPrefix
    }

    /// The error that an error reply stands for. An error reply says that the command was not carried out.
    public static func fromReply(_ text: String) -> RedisError {
        let text = withoutScript(text)
        let word = text.prefix { $0 != " " }
        let isCode = !word.isEmpty && word.utf8.allSatisfy { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }
        let prefix = isCode ? String(word) : nil
        if prefix == "CROSSSLOT" { return unsuitableNamespace("the server") }
        let code: Code =
            switch prefix {
            case "NOAUTH", "WRONGPASS": .authenticationFailed
            case "NOPERM": .notPermitted
            // Redis 7.2 and later, 7.0.
            case "ERR" where text.hasPrefix("ERR ACL failure in script"): .notPermitted
            case "ERR" where text.hasPrefix("ERR The user executing the script can't "): .notPermitted
            default: .reply
            }
        return RedisError(code, text.escapedForDisplay(limit: 400), replyPrefix: prefix)
    }

    /// The same, and that a part of what was asked for was carried out before, if it was.
    func after(partIsDone: Bool) -> RedisError {
        var error = self
        error.isPartlyDone = isPartlyDone || partIsDone
        return error
    }

    /// The error for a cluster that has the keys of a namespace on several nodes, and what to do about it.
    static func unsuitableNamespace(
        _ place: String,
        _ namespace: String = RedisKeys.defaultNamespace
    ) -> RedisError {
        let advice = "pass --namespace '{\(namespace)}', with the braces, which keep all keys on one node"
        return RedisError(.unsuitableNamespace, "\(place) is a cluster: \(advice)", replyPrefix: "CROSSSLOT")
    }

    /// What a command in a script was answered, without the place in the script. Redis 7 puts that behind the answer,
    /// earlier ones in front of it.
    private static func withoutScript(_ text: String) -> String {
        if let place = text.ranges(of: " script: ").last, text[place.upperBound...].contains(", on @user_script:") {
            return String(text[..<place.lowerBound])
        }
        guard text.hasPrefix("ERR Error running script"), let answer = text.firstRange(of: ": -") else { return text }
        return String(text[answer.upperBound...])
    }

    /// The message, and that the outcome is unknown if it is.
    public var description: String {
        isOutcomeUnknown ? "\(message) (the command may have been executed)" : message
    }
}
