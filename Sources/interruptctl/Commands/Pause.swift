import ArgumentParser
import InterruptCore
import InterruptRedis

/// Freezes what runs, and keeps what is queued from starting.
struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Freeze a job's processes until 'resume'; under a wide target nothing new starts.",
        discussion: """
            Examples:
              interruptctl pause nightly
              interruptctl pause queue:default --yes    what is queued stays queued, what runs is frozen
              interruptctl resume nightly

            Waits until the job's worker has confirmed it. A paused job can be interrupted as any other, and the time
            is not charged to its --timeout unless it was submitted with --charge-paused.
            Exit status: 0 done, 1 cannot be paused, 3 no such job, 4 already ended, 5 recorded but not confirmed.
            """
    )

    @OptionGroup var options: PauseOptions

    @Flag(help: "Ask nothing.")
    var yes = false

    @Flag(help: "Only list what would be paused.")
    var dryRun = false

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let command = PauseCommand(action: .pause, options: options, display: display)
        if options.isSingle, !dryRun {
            return try await command.run(StopPlan(options.targets.first, run: options.expected), in: session)
        }
        let found = try await StopPlan.find(options.targets, run: options.run, in: session)
        if dryRun { return found.report(on: display, emptyText: "nothing to pause") }
        if yes { return try await command.run(StopPlan(options.targets), in: session) }
        // The gate of a wide target is worth a question even when nothing is there now.
        if !found.records.isEmpty || options.targets.contains(where: \.isWide) {
            try Confirmation.pause.ask(about: found, on: display.screen)
        }
        try await command.run(StopPlan(confirmed: found), in: session)
    }
}
