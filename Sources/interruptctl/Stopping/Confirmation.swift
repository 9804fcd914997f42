import Glibc
import InterruptCore

/// Asks a person before a command touches what several targets, or one of many, stand for.
struct Confirmation {
    /// What the command does: `interrupt`, `pause`.
    let verb: String
    /// What it has done, in a word.
    let participle: String
    /// What is asked about a single run.
    let question: String

    static let interrupt = Confirmation(verb: "interrupt", participle: "interrupted", question: StopTexts.question)
    static let pause = Confirmation(
        verb: "pause",
        participle: "paused",
        question: "Are you sure you want to pause the running command?"
    )

    /// Returns when somebody has said yes on a terminal.
    ///
    /// - Throws: ``CommandFailure`` when nobody has, or there is no terminal to ask.
    func ask(about found: StopPlan.Found, on screen: Screen) throws(CommandFailure) {
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else {
            throw CommandFailure(
                .failed,
                "this would \(verb) \(Counted.runs(found.records.count)) and needs a yes, but there is no terminal to ask",
                hint: "add --yes, or --dry-run to list them"
            )
        }
        let title = verb.prefix(1).uppercased() + verb.dropFirst()
        StandardStreams.error((["Confirm \(title)"] + found.lines(on: screen)).joined(separator: "\n"))
        let question = found.records.count == 1 ? question : "\(title) \(Counted.runs(found.records.count))?"
        let answer = StandardStreams.answer(to: "\(question) [y/N] ")?.lowercased()
        guard answer == "y" || answer == "yes" else {
            throw CommandFailure(.failed, "not confirmed: nothing was \(participle)")
        }
    }
}
