import ArgumentParser
import InterruptCore
import InterruptRedis

/// Workers and when they were last heard of.
struct Workers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List workers and when they were last heard of.",
        discussion: """
            Examples:
              interruptctl workers
              interruptctl workers -o json
            """
    )

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let (workers, now) = try await session.asking { () async throws(RedisError) in
            (try await session.client.workers(), try await session.client.serverTime())
        }
        if display.isJSON {
            for worker in workers { StandardStreams.out(WorkerTable.json(worker, now: now).line) }
        } else if workers.isEmpty {
            StandardStreams.out("no workers: start 'interruptd'")
        } else {
            for line in WorkerTable(workers: workers, now: now).lines(on: display.screen) { StandardStreams.out(line) }
        }
    }
}
