import ArgumentParser
import InterruptCore

/// Stage 1 of an interrupt.
struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel what is queued, let what runs finish, start nothing new (stage 1).",
        discussion: """
            Examples:
              interruptctl drain queue:default --yes
              interruptctl drain worker:alpha --dry-run
              interruptctl resume queue:default         lets jobs start again
            """
    )

    @OptionGroup var options: StopOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await StopCommand(stage: .drain, options: options, display: display).run(over: connection)
    }
}
