import InterruptCore
import InterruptRedis

/// What is about to be interrupted, paused or resumed.
struct TargetPlan: Sendable {
    /// One target as it is asked for.
    enum Part: Sendable, Equatable, CustomStringConvertible {
        /// One job or run; `expected` is the run that it must still be.
        case one(RunReference, expected: RunID?)
        /// A target of many.
        case wide(InterruptTarget)

        var isWide: Bool { if case .wide = self { true } else { false } }

        /// Whether it is one run, and none in which its job is tried again.
        var isOneRun: Bool { if case .one(_, expected: .some) = self { true } else { false } }

        /// As people name it.
        var description: String {
            switch self {
            case .one(.job(let job), _): job.description
            case .one(.run(let run), _): "run \(run.rawValue.escapedForDisplay(limit: 64))"
            case .wide(let target): target.description
            }
        }
    }

    var parts: [Part]
    /// Of the targets of many only these runs, when a person has said yes to them.
    var only: Set<RunID>?

    /// Everything that the targets stand for when it is asked for.
    init(_ targets: [InterruptTarget]) {
        parts = targets.map { target in
            if case .job(let job) = target { .one(.job(job), expected: nil) } else { .wide(target) }
        }
    }

    /// One job, one run, or one run of a job.
    init(_ job: InterruptTarget?, run: RunID?) {
        if case .job(let name) = job {
            parts = [.one(.job(name), expected: run)]
        } else {
            parts = run.map { [.one(.run($0), expected: nil)] } ?? []
        }
    }

    /// What a person has seen and said yes to, and nothing that came since.
    init(confirmed found: Found) {
        parts = found.targets.map { target in
            guard case .job(let job) = target else { return .wide(target) }
            // A job that had no run must still have none.
            return found.newest[job].map { .one(.run($0), expected: nil) }
                ?? .one(.job(job), expected: RunID(rawValue: "-"))
        }
        only = Set(found.records.map(\.run))
    }

    /// That asking one part has failed after others were asked, and that those behind it were not asked.
    func failure(_ failure: CommandFailure, at index: Int) -> CommandFailure {
        let rest = parts[index...].dropFirst().map { "'\($0)'" }.joined(separator: ", ")
        var failure = failure
        failure.description = "'\(parts[index])': \(failure.description)" + (rest.isEmpty ? "" : "; not asked: \(rest)")
        failure.hint = "the targets before it were asked; ask for the rest again"
        return failure
    }

    /// What was found before anybody was asked.
    struct Found {
        /// The most rows that are listed.
        static let mostRows = 20

        let targets: [InterruptTarget]
        /// The newest run of each job among the targets, ended or not.
        var newest: [Name: RunID] = [:]
        /// The live runs.
        var records: [RunRecord] = []

        /// The table for people, cut after ``mostRows``.
        func lines(on screen: Screen) -> [String] {
            let lines = RunTable(records: Array(records.prefix(Self.mostRows)), now: .now).lines(on: screen)
            let more = records.count - Self.mostRows
            return more > 0 ? lines + ["and \(more) more"] : lines
        }

        /// Prints all of it: what `--dry-run` is for.
        func report(on display: DisplayOptions, emptyText: String) {
            if display.isJSON {
                for record in records { StandardStreams.out(record.json.line) }
            } else {
                let lines = records.isEmpty ? [emptyText] : lines(on: display.screen)
                for line in lines { StandardStreams.out(line) }
            }
        }
    }

    /// Looks up what the targets stand for now.
    static func find(
        _ targets: [InterruptTarget],
        run: Name?,
        in session: Session
    ) async throws(CommandFailure) -> Found {
        var found = Found(targets: targets)
        var runs: [RunID] = run.map { [RunID(rawValue: $0.description)] } ?? []
        if run == nil {
            for target in targets {
                let members = try await session.asking { () async throws(RedisError) in
                    try await session.client.liveRuns(of: target)
                }
                if case .job(let job) = target { found.newest[job] = members.first }
                let known = Set(runs)
                runs += members.filter { !known.contains($0) }
            }
        }
        let ids = runs
        let records = try await session.asking { () async throws(RedisError) in
            try await session.client.records(of: ids)
        }
        found.records = records.filter { !$0.state.isEnd }
        return found
    }
}
