import ArgumentParser
import Glibc
import InterruptCore
import InterruptRedis

/// Submits a job and stays attached to it.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a job and stay attached: its output, its exit status, your Ctrl-C.",
        discussion: """
            Examples:
              interruptctl run -- find /usr -type f
              interruptctl run --timeout 10m -- sh -c 'make all 2>&1 | tail'
              interruptctl run --handler resize --input-file resize.json

            Ctrl-C interrupts the remote job (stage 2), a second one kills it (stage 3), a third leaves it alone.
            A terminal gets what would steer it in the job's output as escapes like \\x1b, unless --raw is given.

            Exit status: the job's own; 128+n for Unix signal n, 124 for its timeout, 130 otherwise interrupted, \
            126 or 127 not executable or not found, 1 for a handler that failed, 125 for trouble of this command.
            """
    )

    @OptionGroup var job: SubmitOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        do {
            let submission = try job.submission(command: RawArguments.ofProcess.command ?? [])
            let session = try await Session.open(connection)
            let status = try await session.withOccurrences(tick: .milliseconds(500)) { occurrences -> Int32 in
                let (result, replication) = try await session.submit(submission, job.durability)
                switch result {
                case .queued(let run):
                    if let replication, replication.isShort {
                        StandardStreams.error("warning: job '\(submission.job)' is queued, but \(replication.text)")
                    }
                    return try await AttachedRun(session: session, run: run, display: display, isRaw: output.raw)
                        .follow(occurrences)
                case .live(let run) where job.unique:
                    StandardStreams.out(display.screen.shown(run.rawValue))
                    return 0
                case .live, .gated: throw SubmissionFailure.of(result, job: submission.job, now: .now)
                }
            }
            if status != 0 { throw CommandFailure.silent(status) }
        } catch let failure as CommandFailure {
            throw failure.ofAttachedCommand
        }
    }
}
