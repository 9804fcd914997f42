import ArgumentParser
import InterruptRedis

/// Lets paused jobs go on, and opens gates again.
struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let what 'pause' has frozen go on, and jobs start again where 'drain' or 'pause' has closed a gate.",
        discussion: """
            Examples:
              interruptctl resume nightly
              interruptctl resume queue:default
              interruptctl resume all

            Waits until the jobs' workers have confirmed it.

            Exit status: 0 done, 1 cannot be resumed, 3 no such job, 4 already ended, 5 recorded but not confirmed.
            """
    )

    @OptionGroup var options: RequestOptions
    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await PauseCommand(.resume, options: options, display: display).run(over: connection)
    }
}
