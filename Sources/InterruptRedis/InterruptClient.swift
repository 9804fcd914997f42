public import InterruptCore

/// Submits runs, interrupts them, and reads what is on record.
public struct InterruptClient: Sendable {
    let commands: any RedisCommands
    let keys: RedisKeys
    let signingKey: SigningKey?

    /// A client of one namespace.
    ///
    /// - `signingKey`: with it, submissions, interrupts and pauses are signed, which workers with the key ask for.
    public init(commands: some RedisCommands, keys: RedisKeys, signingKey: SigningKey? = nil) {
        self.commands = commands
        self.keys = keys
        self.signingKey = signingKey
    }

    /// Runs a script with the keys and the argument that all of them have. A newer contract is thrown as an error.
    func evaluate(
        _ script: RedisScript,
        _ arguments: [RedisArgument],
        repliesLast: Bool = false
    ) async throws(RedisError) -> RESPValue {
        let reply = try await commands.evaluate(
            script,
            keys: [keys.history, keys.nothing],
            arguments: [RedisArgument(keys.namespace)] + arguments,
            repliesLast: repliesLast
        )
        if let parts = reply.array, parts.count == 2, parts[0].text == "refused" {
            // It names what stands in records, and is shown as it is.
            throw RedisError(.reply, (parts[1].text ?? "").escapedForDisplay(limit: 400))
        }
        return reply
    }

    /// The error for a reply that no script of this version gives.
    func unexpected(_ reply: RESPValue, from what: String) -> RedisError {
        RedisError(.reply, "\(what): unexpected reply from the server")
    }
}

// MARK: - Submitting

/// What is asked to run.
public struct Submission: Sendable {
    /// The job's id.
    public var job: Name
    /// The id of the new run; asking again with the same one submits once.
    public var run: RunID = .random()
    /// Where it waits.
    public var queue: Name
    /// The groups it belongs to.
    public var groups: [Name] = []
    /// What it executes: a command, or a handler of the worker's program.
    public var work: RunOrder.Work
    /// The working directory of a command.
    public var directory: String?
    /// What a command has set besides the worker's clean base.
    public var environment: [String: [UInt8]] = [:]
    /// The time between asking and forcing; `nil` is the worker's default.
    public var gracePeriod: Duration?
    /// Interrupts the run with reason `timeout` after this long.
    public var timeout: Duration?
    /// How often the job is tried again after a run that failed or was lost; never after one that was interrupted. A
    /// command is leased then: its worker ends it before another may take it over.
    public var retries = 0
    /// Whether the time for which the run is paused counts towards its timeout.
    public var chargesPausedTime = false
    /// How much a command may use.
    public var limits = RunLimits()
    /// What is done beside a command.
    public var hooks = RunHooks()
    /// Who submits.
    public var submittedBy: String?
    /// How long after its submission it may start at the latest, where it is signed; `nil` is a day.
    public var signatureLifetime: Duration?

    /// A submission of `command` as `job` to `queue`.
    public init(job: Name, queue: Name, command: [[UInt8]]) {
        self.job = job
        self.queue = queue
        work = .command(command)
    }

    /// A submission of `handler` as `job` to `queue`, for a worker that has a function of this name.
    ///
    /// - `input`: what the function is given; at most `RunOrder.Work.maximumInputSize` bytes.
    public init(job: Name, queue: Name, handler: Name, input: String = "") {
        self.job = job
        self.queue = queue
        work = .handler(handler, input: input)
    }
}

/// What became of a submission.
public enum SubmissionResult: Hashable, Sendable {
    /// It waits in its queue.
    case queued(RunID)
    /// The job is live already, as this run.
    case live(RunID)
    /// A gate holds it back: nothing was recorded.
    case gated(target: String, stage: InterruptStage, closedBy: String, at: Timestamp)
}

extension InterruptClient {
    /// Submits a run. Returns when it is recorded. Idempotent by run id.
    ///
    /// - Throws: ``RedisError``; with the code `reply`, before anything is sent, for an input that is too long.
    public func submit(_ submission: Submission) async throws(RedisError) -> SubmissionResult {
        if case .handler(_, let input) = submission.work, input.utf8.count > RunOrder.Work.maximumInputSize {
            let most = RunOrder.Work.maximumInputSize
            throw RedisError(.reply, "the input has \(input.utf8.count) bytes, at most \(most) are taken")
        }
        let fields = submission.fields
        var arguments = fields.map { RedisArgument($0.value) }
        var options = submission.options
        if let signingKey {
            let lifetime = submission.signatureLifetime ?? SignedRun.defaultLifetime
            let expiry = try await serverTime().advanced(by: lifetime)
            options.append((SignedRun.expiryField, "\(expiry.milliseconds)"))
            options.append((SignedRun.signatureField, submission.signature(options, keys.namespace, with: signingKey)))
        }
        arguments.append(.init(options.count))
        for (name, value) in options { arguments += [.init(name), .init(value)] }
        for (name, value) in submission.environment { arguments += [.init(name), .init(value)] }
        let reply = try await evaluate(RedisScripts.submit, arguments)
        let parts = reply.array?.compactMap(\.text) ?? []
        switch parts.first {
        case "queued" where parts.count >= 2: return .queued(RunID(rawValue: parts[1]))
        case "live" where parts.count >= 2: return .live(RunID(rawValue: parts[1]))
        case "gated" where parts.count >= 5:
            return .gated(
                target: parts[1],
                stage: Int(parts[2]).flatMap(InterruptStage.init) ?? .drain,
                closedBy: parts[3],
                at: Timestamp(milliseconds: Int64(parts[4]) ?? 0)
            )
        default: throw unexpected(reply, from: "submit")
        }
    }
}
