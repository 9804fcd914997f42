import InterruptCore
import InterruptRedis

/// Why a command failed, as its user sees it: `error: …`, perhaps `hint: …`, and an exit status.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
    var status: Int32
    /// One line. Everything from elsewhere in it is escaped already.
    var description: String
    var hint: String?

    init(_ status: CommandStatus, _ description: String, hint: String? = nil) {
        self.status = status.rawValue
        self.description = description
        self.hint = hint
    }

    /// Ends the program with this status and without another word.
    static func silent(_ status: Int32) -> CommandFailure {
        var failure = CommandFailure(.done, "")
        failure.status = status
        return failure
    }

    /// The lines for stderr.
    var lines: [String] {
        if description.isEmpty { return [] }
        return ["error: \(description)"] + (hint.map { ["hint: \($0)"] } ?? [])
    }

    func report(on screen: Screen) {
        if !lines.isEmpty { StandardStreams.error(screen.fitted(lines.joined(separator: "\n"))) }
    }

    /// The same failure of a command whose exit status is the job's: its own troubles are 125, but for wrong usage.
    var ofAttachedCommand: CommandFailure {
        var failure = self
        if status != CommandStatus.usage.rawValue, !description.isEmpty {
            failure.status = CommandStatus.ownTrouble.rawValue
        }
        return failure
    }
}

extension CommandFailure {
    init(_ error: SettingsError) {
        switch error.kind {
        case .invalid: self.init(.usage, error.description, hint: error.hint)
        case .refused: self.init(.failed, error.description, hint: error.hint)
        }
    }

    /// - Parameter embeddedSocket: where the embedded server would listen, when no URL was given.
    init(_ error: RedisError, embeddedSocket: String? = nil) {
        let text = error.message.escapedForDisplay(limit: 600)
        if error.isOutcomeUnknown {
            self.init(unknown: text)
            return
        }
        if error.isPartlyDone {
            var whole = error
            whole.isPartlyDone = false
            let status = CommandStatus(rawValue: CommandFailure(whole).status) ?? .failed
            self.init(status, "recorded for a part of them only: \(text)", hint: Self.repetitionHint)
            return
        }
        switch error.code {
        case .authenticationFailed:
            self.init(.notPermitted, text, hint: "check the user in --redis and the file of --redis-password-file")
        case .refusedBySentinels: self.init(.notPermitted, text, hint: "check the file of --sentinel-password-file")
        case .notPermitted:
            self.init(.notPermitted, "not permitted: \(text)", hint: Self.permissionHint)
        case .reply where error.isPassing:
            self.init(.unavailable, "Redis cannot answer now: \(text)", hint: "try again in a moment")
        case .reply where error.replyPrefix.map { Self.refusalHints[$0] != nil } ?? false:
            self.init(.failed, "refused by Redis: \(text)", hint: Self.refusalHints[error.replyPrefix!])
        case .reply: self.init(.failed, "refused: \(text)")
        case .unsuitableNamespace: self.init(.usage, text)
        case .wrongSettings:
            self.init(.unavailable, text, hint: "check --redis, --tls-ca, --tls-cert and --tls-key")
        case .notARedisServer: self.init(.unavailable, text, hint: "check scheme, host and port in --redis")
        case .cannotConnect
        where embeddedSocket != nil && (text.contains("no such socket") || text.contains("refused")):
            self.init(
                .unavailable,
                "no Redis: nothing listens at \(embeddedSocket!.escapedForDisplay())",
                hint: "start 'interruptd' here, or pass --redis URL"
            )
        case .cannotConnect where error.isPassing:
            self.init(.unavailable, text, hint: "nothing was sent; try again in a moment")
        case .cannotConnect where text.contains("max number of clients"):
            self.init(.unavailable, text, hint: "nothing was sent; try again, or raise maxclients of the server")
        case .cannotConnect:
            self.init(.unavailable, text, hint: "nothing was sent; check --redis, and whether the server runs")
        default: self.init(.unavailable, text, hint: "is the server stopped or busy? Try again in a moment")
        }
    }

    /// A question had no answer, which leaves nothing unknown but the answer.
    init(asking error: RedisError, embeddedSocket: String? = nil) {
        var error = error
        error.isOutcomeUnknown = false
        self.init(error, embeddedSocket: embeddedSocket)
    }

    /// Nobody knows whether the server has carried it out.
    ///
    /// - Parameter text: what happened; escaped already.
    private init(unknown text: String) {
        self.init(
            .unavailable,
            "unknown whether it is recorded: \(text)",
            hint: Self.repetitionHint
        )
    }

    /// - Parameters:
    ///   - unknown: what left the outcome unknown.
    ///   - repetition: how asking again failed. A script looks for the request's id before it writes, so a primary that
    ///     refuses the write does not know it. A replica may just have been the primary, one that is loading or busy has not
    ///     looked, and of what failed half-way a part is known.
    ///   - isOneScript: whether one script was asked. What takes several may have been carried out up to its end, and be
    ///     refused where it begins anew.
    init(_ unknown: RedisError, then repetition: RedisError, isOneScript: Bool) {
        let isRefusal =
            repetition.code == .notPermitted || ["OOM", "MISCONF", "NOREPLICAS"].contains(repetition.replyPrefix)
        if isOneScript, isRefusal, !unknown.isPartlyDone, !repetition.isPartlyDone {
            self.init(repetition)
            return
        }
        let texts = [unknown, repetition].map { $0.message.escapedForDisplay(limit: 300) }
        self.init(unknown: texts[0] == texts[1] ? "\(texts[0]), twice" : "\(texts[0]); asked again: \(texts[1])")
    }

    /// What to do about a server that takes no writes.
    private static let refusalHints = [
        "READONLY": "this is a replica: pass the primary's URL with --redis",
        "OOM": "nothing was recorded; raise maxmemory or free memory. "
            + "A bare PUBLISH still interrupts: see 'Channels' in Docs/Protocol.md",
        "NOREPLICAS": "nothing was recorded; the server wants more replicas than it has (min-replicas-to-write)",
        "MISCONF": "nothing was recorded; the server cannot save what it has: see its log and its disk",
    ]

    private static let repetitionHint =
        "look with 'interruptctl status'; asking again with the same --request-id does no harm"

    private static let permissionHint = "the Redis user lacks this right: see 'Rights' in Docs/Protocol.md"
}

extension RedisError {
    /// Whether the server says that it cannot answer yet, or not now.
    fileprivate var isPassing: Bool {
        ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK"].contains(replyPrefix)
    }
}
