import ArgumentParser
import InterruptCore
import InterruptRedis

/// Puts a job in its queue and prints its id.
struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put a job in its queue and print its id.",
        discussion: """
            Examples:
              interruptctl submit -- find /usr -type f
              interruptctl submit --id nightly --group builds --timeout 2h -- make all
              interruptctl submit --handler resize --input '{"width": 100}'
              interruptctl submit --env LANG=C --cwd /srv/data -- sort -o out.txt names.txt
            """
    )

    @OptionGroup var job: SubmitOptions
    @OptionGroup var display: DisplayOptions

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let submission = try job.submission(command: RawArguments.ofProcess.command ?? [])
        let session = try await Session.open(connection)
        let (result, replication) = try await session.submit(submission, job.durability)
        switch result {
        case .queued(let run):
            let text = display.isJSON ? Self.json(submission.job, run, .queued) : submission.job.description
            StandardStreams.out(text)
            if let replication, replication.isShort {
                throw replication.shortage(of: "job '\(submission.job)' is queued")
            }
        case .live(let run) where job.unique:
            let state = try await session.asking { () async throws(RedisError) in
                try await session.client.record(of: run)
            }?.state
            let text =
                display.isJSON ? Self.json(submission.job, run, state ?? .running) : display.screen.shown(run.rawValue)
            StandardStreams.out(text)
        case .live, .gated:
            throw SubmissionFailure.of(result, job: submission.job, now: .now)
        }
    }

    private static func json(_ job: Name, _ run: RunID, _ state: RunState) -> String {
        JSONValue.object([
            "job": .string(job.description), "run": .string(run.rawValue), "state": .string(state.rawValue),
        ]).line
    }
}

extension Session {
    /// Submits; idempotent by the run id, so an unknown outcome is asked for again.
    func submit(
        _ submission: Submission,
        _ durability: Durability?
    ) async throws(CommandFailure) -> (SubmissionResult, Replication?) {
        if submission.signatureLifetime != nil, signingKey == nil {
            throw CommandFailure(
                .usage,
                "--sign-valid-for: nothing is signed without a key",
                hint: "pass --sign-key FILE"
            )
        }
        try await prepare(durability)
        return try await resolving(durability) { client, _ throws(RedisError) in try await client.submit(submission) }
    }
}

/// Why a job was not put in its queue.
enum SubmissionFailure {
    static let alreadyRunning = "A command is already running. Please wait or interrupt it first."

    static func of(_ result: SubmissionResult, job: Name, now: Timestamp) -> CommandFailure {
        switch result {
        case .queued: CommandFailure(.failed, "job '\(job)' is queued")
        case .live(let run):
            CommandFailure(
                .failed,
                "\(alreadyRunning) (job \(job), run \(run.rawValue.escapedForDisplay(limit: 64)))",
                hint: "run 'interruptctl cancel \(job)', or 'interruptctl wait \(job)'"
            )
        case .gated(let target, let stage, let who, let at):
            gated(target.escapedForDisplay(limit: 160), stage, by: who.escapedForDisplay(limit: 80), ago: now - at)
        }
    }

    private static func gated(_ target: String, _ stage: InterruptStage, by who: String, ago: Duration)
        -> CommandFailure
    {
        CommandFailure(
            .failed,
            "'\(target)' takes no new jobs: \(stage.name) by \(who.isEmpty ? "somebody" : who), \(ago.displayText) ago",
            hint: "run 'interruptctl resume \(target)' to open it"
        )
    }
}
