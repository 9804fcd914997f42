import ArgumentParser
import InterruptCore
import InterruptRedis

/// What a run has written.
struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what a run has written, as it was written.",
        discussion: """
            Examples:
              interruptctl logs nightly
              interruptctl logs -f nightly             goes on until the run ends; Ctrl-C only stops looking

            Redis keeps the end of the output; the whole is in a file on the worker.
            """
    )

    @Flag(name: .shortAndLong, help: "Go on until the run ends.")
    var follow = false

    @Argument(help: "A job, or a unique beginning of a run id.")
    var job: String

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let record = try await session.run(named: job)
        let reader = OutputReader(
            client: session.anotherClient(commandTimeout: .seconds(3)),
            run: record.run,
            screen: display.screen
        )
        _ = try await reader.copy(isFollowing: follow)
    }
}
