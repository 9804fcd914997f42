import ArgumentParser
import InterruptCore

/// Stage 2 of an interrupt.
struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask what runs to end, and force it after its grace period (stage 2).",
        discussion: """
            Examples:
              interruptctl cancel nightly --message "wrong branch"
              interruptctl cancel group:builds --yes --reason priority_override
              interruptctl cancel nightly --no-wait --durability replicas:1

            Waits until the stop is confirmed, and asks again by the same request id until the worker has said that it \
            knows. Leaving with Ctrl-C undoes nothing.

            Exit status: 0 done, 3 no such job, 4 already ended, 5 recorded but not confirmed in time, or on fewer \
            replicas than asked.
            """
    )

    @OptionGroup var options: StopOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await StopCommand(stage: .terminate, options: options, display: display).run(over: connection)
    }
}
