import ArgumentParser
import InterruptCore
import InterruptRedis

/// What a run has written.
struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what a run has written.",
        discussion: """
            Examples:
              interruptctl logs nightly
              interruptctl logs -f nightly   goes on to the end of the run; Ctrl-C leaves

            Redis keeps the end of the output; the whole is in a file on the worker, within the limits that this was \
            started with. When something is left out, the last line on stderr says how much, and where the file is. A \
            terminal gets what would steer it as escapes like \\x1b, unless --raw is given; a pipe or a file gets the \
            bytes as they were written.
            """
    )

    @Flag(name: .shortAndLong, help: "Go on until the run ends.")
    var follow = false

    @Argument(help: "A job, or a unique beginning of a run id.")
    var job: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let record = try await session.run(named: job)
        let reader = OutputReader(
            client: session.anotherClient(commandTimeout: .seconds(3)),
            run: record.run,
            screen: display.screen,
            isRaw: output.raw
        )
        let copied = try await reader.copy(isFollowing: follow)
        var newest = record
        // Only the record of an ended run says how much there is. Without it, what is known already must do.
        if copied.hasEnded { newest = (try? await session.client.record(of: record.run)) ?? record }
        let summary = await copied.gaps.summary(of: newest, asking: session.client, on: display.screen)
        if let summary { StandardStreams.error(summary) }
    }
}
