import ArgumentParser
import InterruptCore

/// Stage 3 of an interrupt.
struct Kill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End it now, without grace (stage 3).",
        discussion: """
            Examples:
              interruptctl kill nightly
              interruptctl kill worker:alpha --yes --message "disk is full"
            """
    )

    @OptionGroup var options: StopOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await StopCommand(stage: .kill, options: options, display: display).run(over: connection)
    }
}
