import InterruptCore

/// What the signature of a submission covers: everything that says what runs, where and for how long, and until when it
/// may start.
struct SignedRun {
    /// How long a submission may wait for its start where nobody says: a day.
    static let defaultLifetime = Duration.seconds(86_400)
    /// The signed fields of a run's record. One that is empty is as good as none.
    static let fields = [
        "job", "run", "queue", "groups", "submitted_by", "command", "cwd", "handler", "input", "grace_ms",
        "timeout_ms", "charge_paused", "max_memory_bytes", "max_cpu_ms", "max_processes", "max_output_bytes",
        "on_interrupt", "on_end", "hook_limit_ms", "retries", expiryField,
    ]
    static let expiryField = "expires_at_ms"
    static let signatureField = "signature"
    /// What the name of a variable begins with; no field's name does.
    private static let variablePrefix = "env:"

    private let text: SignedText

    /// - Parameters:
    ///   - field: the value of a field of the record; `nil` when it has none.
    ///   - environment: all variables of the run, with their values.
    init(
        namespace: String,
        environment: [SignedText.Field],
        field: (_ name: String) -> [UInt8]?
    ) {
        var fields: [SignedText.Field] = []
        for name in Self.fields {
            if let value = field(name), !value.isEmpty { fields.append(.init(name: Array(name.utf8), value: value)) }
        }
        let prefix = Array(Self.variablePrefix.utf8)
        fields += environment.map { .init(name: prefix + $0.name, value: $0.value) }
        text = SignedText(.run, namespace: namespace, fields: fields)
    }

    func signature(with key: SigningKey) -> String { key.signature(of: text.bytes) }

    func isSigned(_ signature: String, with key: SigningKey) -> Bool { key.verifies(signature, of: text.bytes) }
}

extension Submission {
    /// Its signature, with these further fields of its record.
    func signature(_ options: [(name: String, value: String)], _ namespace: String, with key: SigningKey) -> String {
        var values: [String: [UInt8]] = [:]
        for (name, value) in fields { values[name] = value }
        for (name, value) in options { values[name] = Array(value.utf8) }
        let variables = environment.map { SignedText.Field(name: Array($0.key.utf8), value: $0.value) }
        return SignedRun(namespace: namespace, environment: variables) { values[$0] }.signature(with: key)
    }
}

/// A run that a worker has claimed, with what it needs to tell whether it is signed.
struct ClaimedRun {
    let record: RunRecord
    /// The reply with its environment.
    let environment: RESPValue?
    /// The grace period of the worker, which stands in the record of a run that names none.
    let workersGracePeriod: Duration
    let namespace: String

    /// Whether the run may start at `now` because somebody with the key has asked for it.
    func check(with key: SigningKey, now: Timestamp) -> RunSignature {
        guard let signature = record.bytes(SignedRun.signatureField).map({ String(decoding: $0, as: UTF8.self) }) else {
            return .invalid("it is not signed, submit it with --sign-key")
        }
        guard let signedRun else {
            return .invalid("its signature is for run '\(shown("first_run"))', and it is no retry of that")
        }
        let isValid = gracePeriods.contains { gracePeriod in
            SignedRun(namespace: namespace, environment: variables) { name in
                switch name {
                case "run": signedRun
                case "grace_ms": gracePeriod
                default: record.bytes(name)
                }
            }.isSigned(signature, with: key)
        }
        guard isValid else {
            return .invalid(
                "its signature is wrong: made with another key or for another run, or the run was changed since"
            )
        }
        guard let expiry = record.expiresAt else { return .invalid("its signature has no expiry") }
        guard now < expiry else {
            return .invalid(
                "its signature expired at \(expiry.rfc3339): submit it again; --sign-valid-for lets it wait for longer"
            )
        }
        return .valid
    }

    /// What the submission may have said of the grace period: what the record says, and nothing, if that is the worker's
    /// own.
    private var gracePeriods: [[UInt8]?] {
        let recorded = record.bytes("grace_ms")
        return record.gracePeriod == workersGracePeriod ? [recorded, nil] : [recorded]
    }

    /// The run that was signed: this one, or the first one of which it is a retry. `nil` when it claims to be one that the
    /// submission has not asked for: a retry's id is that of the first run, a `.` and the number of the attempt, so that
    /// one signature is good for as many runs as it says and no more.
    private var signedRun: [UInt8]? {
        guard let first = record.bytes("first_run") else { return record.bytes("run") }
        let retries = record.bytes("retries").flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
        let isAskedFor = record.attempt > 1 && record.attempt - 1 <= retries
        return isAskedFor && record.bytes("run") == first + Array(".\(record.attempt)".utf8) ? first : nil
    }

    private var variables: [SignedText.Field] {
        let parts = environment?.array ?? []
        return stride(from: 0, to: parts.count - 1, by: 2).map {
            .init(name: parts[$0].bytes ?? [], value: parts[$0 + 1].bytes ?? [])
        }
    }

    private func shown(_ name: String) -> String {
        String(decoding: record.bytes(name) ?? [], as: UTF8.self).escapedForDisplay(limit: 64)
    }
}
