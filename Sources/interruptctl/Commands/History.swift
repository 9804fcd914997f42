import ArgumentParser
import InterruptCore
import InterruptRedis

/// Who asked, why, and how fast it was done.
struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show who interrupted what, why, and how fast it was done.",
        discussion: """
            Examples:
              interruptctl history
              interruptctl history nightly --limit 100
              interruptctl history -o json
              interruptctl history --summary   by reason, source, stage, way: how fast
            """
    )

    @Argument(help: "Only this job.", transform: Parse.name)
    var job: Name?

    @Option(
        help: ArgumentHelp("At most so many entries, the newest. Default: 20; all for a summary.", valueName: "number")
    )
    var limit: Int?

    @Flag(help: "Count the interrupts, and say how long receipts and stops took.")
    var summary = false

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard 1...100_000 ~= limit ?? 1 else { throw ValidationError("--limit is a number from 1 to 100000.") }
    }

    func run() async throws {
        let session = try await Session.open(connection)
        let name = job?.description
        let entries = try await session.asking { () async throws(RedisError) in
            try await session.client.history(limit: limit ?? (summary ? 100_000 : 20)) {
                name == nil || $0.fields["job"] == name
            }
        }
        if entries.isEmpty, let job {
            let newest = try await session.asking { () async throws(RedisError) in
                try await session.client.newestRun(of: job)
            }
            if newest == nil { throw CommandFailure.missing("no such job '\(job)', and nothing on record of it") }
        }
        let screen = display.screen
        if summary {
            let summary = HistorySummary(entries)
            let lines = display.isJSON ? summary.rows.map(\.json.line) : summary.lines(on: screen)
            return lines.forEach { StandardStreams.out($0) }
        }
        for entry in entries {
            StandardStreams.out(display.isJSON ? entry.json.line : HistoryLine.of(entry, on: screen))
        }
        if entries.isEmpty, !display.isJSON { StandardStreams.out("nothing on record") }
    }
}
