import InterruptCore
import InterruptRedis
import InterruptWorker

/// What a worker may run, decided for each run before anything is started.
struct CommandRules: Sendable {
    /// The worker's name, for those who are refused.
    let worker: Name
    /// Whether any command may run: `--allow-any-command`, or a Redis that nobody else can reach and no other rule.
    let allowsAnyCommand: Bool
    let jobs: JobsFile?
    let patterns: [CommandPattern]
    /// The variables that a submission may set for a command that a pattern allows.
    let allowedVariables: Set<String>
    /// Finds the file that would run; `nil` when there is none.
    let findProgram: @Sendable (RunOrder) -> [UInt8]?

    init(
        worker: Name,
        allowsAnyCommand: Bool = false,
        jobs: JobsFile? = nil,
        patterns: [CommandPattern] = [],
        allowedVariables: Set<String> = [],
        findProgram: @escaping @Sendable (RunOrder) -> [UInt8]? = { _ in nil }
    ) {
        self.worker = worker
        self.allowsAnyCommand = allowsAnyCommand
        self.jobs = jobs
        self.patterns = patterns
        self.allowedVariables = allowedVariables
        self.findProgram = findProgram
    }

    /// As the settings say. On a Redis that nobody else can reach any command may run, unless there are rules; a key to sign
    /// with is one.
    init(
        _ settings: DaemonSettings,
        worker: Name,
        findProgram: @escaping @Sendable (RunOrder) -> [UInt8]?
    ) {
        let hasRules =
            settings.jobs != nil || !settings.allowed.isEmpty || settings.endpoint.signKeyFile != nil
        self.init(
            worker: worker,
            allowsAnyCommand: settings.allowsAnyCommand || (settings.endpoint.usesEmbeddedServer && !hasRules),
            jobs: settings.jobs,
            patterns: settings.allowed,
            allowedVariables: settings.allowedVariables,
            findProgram: findProgram
        )
    }

    private static let noHooks = "hooks are any commands, which only --allow-any-command lets run"

    /// Decides; looks at the file system at most.
    func admit(_ order: RunOrder) -> Admission {
        // A handler is a function of this very program: nothing comes from outside but its input.
        guard case .command(let words) = order.work else { return .asItIs }
        if let jobs, let (name, job) = jobs.job(named: words.first) {
            let subject = "refused by \(jobs.name): \(name)"
            return order.hooks.isEmpty ? admit(order, words, as: job, subject) : .refused("\(subject): \(Self.noHooks)")
        }
        // Somebody with the key wants just this.
        if allowsAnyCommand || order.signature == .valid { return .asItIs }
        // They run in a shell, which is any command.
        guard order.hooks.isEmpty else { return refused("refused: \(Self.noHooks)", order) }
        if !patterns.isEmpty {
            let path = findProgram(order)
            if patterns.contains(where: { $0.matches(words, path: path) }) { return admitVariables(of: order) }
        }
        return refused(refusal(of: words, order), order)
    }

    /// With what its signature lacks, if that would have let it run.
    private func refused(_ text: String, _ order: RunOrder) -> Admission {
        guard case .invalid(let why) = order.signature else { return .refused(text) }
        return .refused("\(text); \(why)")
    }

    private func admit(_ order: RunOrder, _ words: [[UInt8]], as job: NamedJob, _ subject: String) -> Admission {
        do throws(JobRefusal) {
            return .run(try job.resolve(words, in: order))
        } catch {
            return .refused("\(subject): \(error.text)")
        }
    }

    private func admitVariables(of order: RunOrder) -> Admission {
        guard let name = order.environment.keys.sorted().first(where: { !allowedVariables.contains($0) }) else {
            return .asItIs
        }
        let allowed =
            allowedVariables.isEmpty ? "no variables" : "the variables \(allowedVariables.sorted().joinedForDisplay())"
        return refused(
            "refused: --allow takes no variable '\(name.escapedForDisplay(limit: 60))'; worker \(worker) allows \(allowed)",
            order
        )
    }

    private func refusal(of words: [[UInt8]], _ order: RunOrder) -> String {
        let command = CommandText(words)
        let has = jobs.map { "\($0.name) has the jobs \($0.jobs.keys.sorted().joinedForDisplay())" }
        guard patterns.isEmpty else {
            let allowed = patterns.map(\.text).joinedForDisplay(limit: 300)
            let text = "refused: no --allow pattern matches '\(command)'; worker \(worker) allows: \(allowed)"
            return has.map { "\(text); \($0)" } ?? text
        }
        guard let jobs, let has else {
            if order.signature != .unchecked { return "refused: worker \(worker) takes only signed commands" }
            return
                "this worker takes no free-form commands: it was started without --allow-any-command, --allow or --jobs"
        }
        let first =
            words.first.map { String(decoding: $0.prefix(400), as: UTF8.self).escapedForDisplay(limit: 60) } ?? ""
        return "refused by \(jobs.name): no job '\(first)'; \(has)"
    }
}
