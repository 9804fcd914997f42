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
            self.init(
                .unavailable,
                "unknown whether it is recorded: \(text)",
                hint: "look with 'interruptctl status'; asking again with the same --request-id does no harm"
            )
            return
        }
        switch error.code {
        case .authenticationFailed:
            self.init(.notPermitted, text, hint: "check the user in --redis and the file of --redis-password-file")
        case .notPermitted:
            self.init(.notPermitted, "not permitted: \(text)", hint: Self.permissionHint)
        case .reply where Self.passing.contains(error.replyPrefix):
            self.init(.unavailable, "Redis cannot answer now: \(text)", hint: "try again in a moment")
        case .reply where error.replyPrefix == "READONLY":
            self.init(
                .failed,
                "refused by Redis: \(text)",
                hint: "this is a replica: pass the primary's URL with --redis"
            )
        case .reply where error.replyPrefix == "OOM":
            self.init(
                .failed,
                "refused by Redis: \(text)",
                hint: "nothing was recorded; raise maxmemory or free memory. "
                    + "A bare PUBLISH still interrupts: see 'Channels' in Docs/Protocol.md"
            )
        case .reply: self.init(.failed, "refused: \(text)")
        case .unsuitableNamespace: self.init(.usage, text)
        case .wrongSettings:
            self.init(.unavailable, text, hint: "check --redis, --tls-ca, --tls-cert and --tls-key")
        case .cannotConnect
        where embeddedSocket != nil && (text.contains("no such socket") || text.contains("refused")):
            self.init(
                .unavailable,
                "no Redis: nothing listens at \(embeddedSocket!.escapedForDisplay())",
                hint: "start 'interruptd' here, or pass --redis URL"
            )
        default: self.init(.unavailable, text)
        }
    }

    /// What may be over in a moment.
    private static let passing: [String?] = [
        "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
    ]
    private static let permissionHint = "the Redis user lacks this right: see 'ACL' in Docs/Operations.md"
}
