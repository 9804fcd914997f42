import ArgumentParser
import InterruptRedis

/// Freezes what runs, and keeps what is queued from starting.
struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Freeze a job's processes until 'resume'; under a wide target nothing new starts.",
        discussion: """
            Examples:
              interruptctl pause nightly
              interruptctl pause queue:default --yes   what is queued stays queued as well
              interruptctl resume nightly

            Waits until the job's worker has confirmed it. A paused job can be interrupted as any other, and the time \
            is not charged to its --timeout unless it was submitted with --charge-paused.

            Exit status: 0 done, 1 cannot be paused, 3 no such job, 4 already ended, 5 recorded but not confirmed.
            """
    )

    @OptionGroup var options: RequestOptions
    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await PauseCommand(.pause, options: options, confirmation: .pause(confirmation), display: display)
            .run(over: connection)
    }
}
