import ArgumentParser
import InterruptCore
import InterruptRedis

/// One run in detail, or a short overview.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show one run in detail, or an overview.",
        discussion: """
            Examples:
              interruptctl status
              interruptctl status nightly
              interruptctl status 3k2f9a               a unique beginning of a run id
            """
    )

    @Argument(help: "A job, or a unique beginning of a run id.")
    var job: String?

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let screen = display.screen
        guard let job else { return try await overview(session, screen) }
        let record = try await session.run(named: job)
        if display.isJSON { return StandardStreams.out(record.json.line) }
        let client = session.client
        let (tail, worker, request, holder, isPauseRequested, now) = try await session.asking {
            () async throws(RedisError) in
            let worker = if let name = record.worker { try await client.worker(name) } else { nil as WorkerRecord? }
            let holder = record.state == .queued ? try await client.pausedTarget(holding: record) : nil
            return (
                try await client.outputTail(of: record.run, entries: 5), worker,
                try await client.request(for: record.run), holder,
                try await client.isPauseRequested(for: record.run), try await client.serverTime()
            )
        }
        let details = RunDetails(
            record: record,
            worker: worker,
            request: request,
            holder: holder,
            isPauseRequested: isPauseRequested,
            lastLine: record.lastOutput ?? LastLine.of(tail),
            now: now
        )
        for line in details.lines(on: screen) { StandardStreams.out(line) }
    }

    private func overview(_ session: Session, _ screen: Screen) async throws {
        let client = session.client
        let (records, workers, now) = try await session.asking { () async throws(RedisError) in
            (try await client.list(includingEnded: 5), try await client.workers(), try await client.serverTime())
        }
        if display.isJSON {
            for record in records { StandardStreams.out(record.json.line) }
            return
        }
        let counts = RunState.allCases.compactMap { state -> String? in
            let count = records.count { $0.state == state && !state.isEnd }
            return count == 0 ? nil : "\(count) \(state.rawValue)"
        }
        let silent = workers.count { WorkerTable.isSilent($0, now: now) }
        let isAre = workers.count == 1 ? "1 worker" : "\(workers.count) workers"
        StandardStreams.out((counts.isEmpty ? ["nothing is running"] : counts).joined(separator: ", "))
        StandardStreams.out(silent == 0 ? isAre : "\(isAre), \(silent) silent")
        if !records.isEmpty {
            for line in RunTable(records: records, now: now).lines(on: screen) { StandardStreams.out(line) }
        }
    }
}

extension Session {
    /// The newest run of a job, or the run whose id begins so.
    func run(named text: String) async throws(CommandFailure) -> RunRecord {
        let shown = text.escapedForDisplay(limit: 140)
        let name: Name
        do throws(NameError) {
            name = try Name(text)
        } catch {
            throw CommandFailure(.usage, "job id: \(error)")
        }
        let (newest, others) = try await asking { () async throws(RedisError) in
            if let newest = try await client.newestRun(of: name) { return (newest as RunRecord?, [] as [RunRecord]) }
            if let exact = try await client.record(of: RunID(rawValue: text)) { return (exact, []) }
            return (nil, try await client.list(includingEnded: 10_000).filter { $0.run.rawValue.hasPrefix(text) })
        }
        if let newest { return newest }
        guard let only = others.first else {
            throw .missing("no such job '\(shown)', and no run begins so")
        }
        if others.count > 1 {
            throw CommandFailure(
                .failed,
                "\(others.count) runs begin with '\(shown)'",
                hint: "write more of the run id"
            )
        }
        return only
    }
}
