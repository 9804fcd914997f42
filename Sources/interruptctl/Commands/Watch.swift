import ArgumentParser
import InterruptCore
import InterruptRedis

/// Every change of state as it happens.
struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show every change of a run's state, and its progress, as it happens.",
        discussion: """
            Examples:
              interruptctl watch
              interruptctl watch nightly -o json

            Ctrl-C and Esc both leave; a second Ctrl-C also where nobody reads what was written. Whoever watches only looks: what runs goes on, and nothing is undone. \
            'interruptctl cancel JOB' interrupts it.
            """
    )

    @Argument(help: "Only this job.", transform: Parse.name)
    var job: Name?

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let screen = display.screen
        try await session.withOccurrences(tick: .seconds(3_600), isWatching: true) { occurrences in
            for await occurrence in occurrences {
                switch occurrence {
                case .event(let event) where job == nil || event.job == job?.description:
                    StandardStreams.out(display.isJSON ? event.json.line : EventLine.of(event, on: screen))
                case .deaf(let error): try sayGap(error)
                case .gap: StandardStreams.error("... some events are missing: they come faster than they are read")
                case .press: return
                case .event, .listening, .tick: break
                }
            }
        }
    }

    /// A gap is said, not hidden: what happens in it is not shown.
    private func sayGap(_ error: RedisError) throws {
        if error.code == .notPermitted || error.code == .authenticationFailed { throw CommandFailure(error) }
        StandardStreams.error(
            "... not connected, some events may be missing: \(display.screen.shown(error.message, limit: 300))"
        )
    }
}

/// An event as a line for people.
enum EventLine {
    static func of(_ event: RunEvent, on screen: Screen) -> String {
        let time = event.at_ms.map { ClockText.of(Timestamp(milliseconds: $0)) } ?? "-"
        let stage = event.stage.flatMap(InterruptStage.init).map { "stage \($0.name)" }
        let words = [
            time, screen.shown(event.job, limit: 128), screen.shown(String(event.run.prefix(8))),
            screen.shown(event.event, limit: 20), screen.shown(event.state, limit: 20), stage,
            event.workProgress.map { ProgressText.of($0, remaining: event.remaining, on: screen) },
            event.note.map { NoteText.of($0, on: screen) }, event.holdout.map { screen.fitted($0.text) },
        ]
        return words.compactMap { $0 }.joined(separator: "  ")
    }
}
