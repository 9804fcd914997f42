import ArgumentParser
import InterruptCore
import InterruptRedis

/// Waits for jobs to end.
struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until jobs have ended.",
        discussion: """
            Examples:
              interruptctl wait nightly
              interruptctl wait --any first second --wait 10m

            Exit status: the job's own; of several the first that is not 0, in the order given; with --any that of \
            the first to end. 125 if the waiting itself failed or took too long.
            """
    )

    @Argument(help: "Jobs.", transform: Parse.name)
    var jobs: [Name]

    @Flag(help: "Return when one of them has ended.")
    var any = false

    @Option("Wait at most this long.", "duration", Parse.duration)
    var wait: Duration?

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        do {
            let session = try await Session.open(connection)
            let status = try await session.withOccurrences(tick: .seconds(1)) { occurrences -> Int32 in
                try await follow(session, occurrences)
            }
            if status != 0 { throw CommandFailure.silent(status) }
        } catch let failure as CommandFailure {
            throw failure.ofAttachedCommand
        }
    }

    private func follow(_ session: Session, _ occurrences: AsyncStream<Occurrence>) async throws -> Int32 {
        let started = ContinuousClock.now
        var board = WaitBoard(jobs: jobs.map(\.description), isAny: any)
        for job in jobs {
            let record = try await session.asking { () async throws(RedisError) in
                try await session.client.newestRun(of: job)
            }
            guard let record else {
                throw CommandFailure.missing("no such job '\(job)'")
            }
            show(board.observe(record))
        }
        if let status = board.status { return status }
        var heardAt = ContinuousClock.now
        var hasSaidAway = false
        for await occurrence in occurrences {
            if case .press = occurrence { throw CommandFailure.silent(130) }
            do {
                let open = board.openRuns
                let records = try await session.client.records(of: open)
                (heardAt, hasSaidAway) = (.now, false)
                for record in records { show(board.observe(record)) }
                if records.count < open.count {
                    throw CommandFailure(.ownTrouble, "no longer on record: \(board.openJobs.joined(separator: ", "))")
                }
            } catch let error as RedisError {
                // Redis may be away for a moment: the next look is soon.
                guard heardAt.duration(to: .now) < OutputReader.patience else { throw CommandFailure(asking: error) }
                if !hasSaidAway { StandardStreams.error(OutputReader.awayText(error, on: display.screen)) }
                hasSaidAway = true
            }
            if let status = board.status { return status }
            if let wait, started.duration(to: .now) >= wait {
                throw CommandFailure(
                    .ownTrouble,
                    "not ended after \(wait.displayText): \(board.openJobs.joined(separator: ", "))"
                )
            }
        }
        return CommandStatus.ownTrouble.rawValue
    }

    private func show(_ record: RunRecord?) {
        guard let record else { return }
        let screen = display.screen
        if display.isJSON {
            StandardStreams.out(record.json.line)
        } else {
            StandardStreams.out("\(screen.shown(record.job)): \(OutcomeText.lineWithRetry(record, on: screen))")
        }
    }
}

/// Which of the jobs that are waited for have ended, and what follows from it.
struct WaitBoard {
    private let jobs: [String]
    private let isAny: Bool
    private var open: [String: RunID] = [:]
    private var statuses: [String: Int32] = [:]
    private var firstEnded: Int32?

    init(jobs: [String], isAny: Bool) {
        self.jobs = jobs
        self.isAny = isAny
    }

    /// Takes a look at a run in; returns it if it is news that it has ended.
    mutating func observe(_ record: RunRecord) -> RunRecord? {
        guard statuses[record.job] == nil else { return nil }
        guard record.state.isEnd else {
            open[record.job] = record.run
            return nil
        }
        // The job goes on as another run: that is waited for.
        if let next = record.nextRun {
            open[record.job] = next
            return record
        }
        open[record.job] = nil
        let status = OutcomeText.exitStatus(record)
        statuses[record.job] = status
        firstEnded = firstEnded ?? status
        return record
    }

    var openRuns: [RunID] { openJobs.compactMap { open[$0] } }
    var openJobs: [String] { jobs.filter { open[$0] != nil } }

    /// The exit status; `nil` while something is waited for.
    var status: Int32? {
        if isAny { return firstEnded }
        guard jobs.allSatisfy({ statuses[$0] != nil }) else { return nil }
        return jobs.lazy.compactMap { statuses[$0] }.first { $0 != 0 } ?? 0
    }
}
