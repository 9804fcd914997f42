import ArgumentParser
import InterruptCore
import InterruptRedis

/// Opens gates again.
struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let jobs start again where 'drain' has closed a gate.",
        discussion: """
            Examples:
              interruptctl resume queue:default
              interruptctl resume all
            """
    )

    @Argument(help: "group:NAME, queue:NAME, worker:NAME or all.", transform: Parse.target)
    var targets: [InterruptTarget]

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        for target in targets where !target.isWide {
            throw ValidationError(
                "'\(target)' is a job: what can be resumed is group:NAME, queue:NAME, worker:NAME or all."
            )
        }
    }

    func run() async throws {
        let session = try await Session.open(connection)
        for target in targets {
            let wasClosed = try await session.resolving { client, _ throws(RedisError) in
                try await client.openGate(target, by: Requester.ofProcess)
            }
            if display.isJSON {
                let line = JSONValue.object(["target": .string(target.description), "resumed": .bool(wasClosed)]).line
                StandardStreams.out(line)
            } else {
                StandardStreams.out(wasClosed ? "'\(target)' takes new jobs again" : "'\(target)' was open already")
            }
        }
    }
}
