import ArgumentParser
import InterruptCore
import InterruptRedis

/// Runs, the live ones and the newest of those that have ended.
struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List runs: the live ones, and the newest that have ended.",
        discussion: """
            Examples:
              interruptctl list
              interruptctl list --state running --group builds
              interruptctl list -o json --limit 1000
            """
    )

    @Option(
        help: ArgumentHelp(
            "Only this state: \(RunState.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "state"
        ),
        completion: .list(RunState.allCases.map(\.rawValue)),
        transform: List.state
    )
    var state: RunState?

    @Option("Only this group.", "group", Parse.name)
    var group: Name?

    @Option("Only this queue.", "queue", Parse.name)
    var queue: Name?

    @Option(help: ArgumentHelp("At most so many ended runs.", valueName: "number"))
    var limit = 20

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard 0...100_000 ~= limit else { throw ValidationError("--limit is a number from 0 to 100000.") }
    }

    func run() async throws {
        let session = try await Session.open(connection)
        let isFiltered = state != nil || group != nil || queue != nil
        let (all, now) = try await session.asking { () async throws(RedisError) in
            // A filter looks further back, so that the limit counts what is shown.
            let records = try await session.client.list(includingEnded: isFiltered ? max(limit, 10_000) : limit)
            return (records, try await session.client.serverTime())
        }
        let records = filtered(all)
        if display.isJSON {
            for record in records { StandardStreams.out(record.json.line) }
        } else if records.isEmpty {
            StandardStreams.out(isFiltered ? "no such runs" : "no runs yet")
        } else {
            for line in RunTable(records: records, now: now).lines(on: display.screen) { StandardStreams.out(line) }
        }
    }

    private func filtered(_ all: [RunRecord]) -> [RunRecord] {
        let matching = all.filter { record in
            (state == nil || record.state == state) && (queue == nil || record.queue == queue?.description)
                && (group.map { record.groups.contains($0.description) } ?? true)
        }
        return Array(matching.filter(\.state.isEnd).suffix(limit)) + matching.filter { !$0.state.isEnd }
    }

    private static func state(_ text: String) throws -> RunState {
        guard let state = RunState(rawValue: text) else {
            throw ValidationError("a state is one of \(RunState.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return state
    }
}
