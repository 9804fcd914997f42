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
    /// Whether a target of many is worth the question even when nothing is there now: its gate closes.
    let closesGates: Bool
    let options: ConfirmationOptions

    static func interrupt(_ options: ConfirmationOptions, closesGates: Bool) -> Confirmation {
        Confirmation(
            verb: "interrupt",
            participle: "interrupted",
            question: "Are you sure you want to interrupt the running command?",
            closesGates: closesGates,
            options: options
        )
    }

    static func pause(_ options: ConfirmationOptions) -> Confirmation {
        Confirmation(
            verb: "pause",
            participle: "paused",
            question: "Are you sure you want to pause the running command?",
            closesGates: true,
            options: options
        )
    }

    /// The plan for what was found, once somebody has said yes to it. Nothing is asked about nothing.
    ///
    /// - Throws: ``CommandFailure`` when nobody has, or there is no terminal to ask.
    func plan(for found: TargetPlan.Found, on screen: Screen) throws(CommandFailure) -> TargetPlan {
        if !found.records.isEmpty || closesGates && found.targets.contains(where: \.isWide) {
            try ask(about: found, on: screen)
        }
        return TargetPlan(confirmed: found)
    }

    private func ask(about found: TargetPlan.Found, on screen: Screen) throws(CommandFailure) {
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else {
            throw CommandFailure(
                .failed,
                "this would \(effect(on: found)) and needs a yes, but there is no terminal to ask",
                hint: "add --yes, or --dry-run to list them"
            )
        }
        let lines = found.records.isEmpty ? [] : found.lines(on: screen)
        StandardStreams.error((["Confirm \(Self.title(verb))"] + lines).joined(separator: "\n"))
        let question = found.records.count == 1 ? question : Self.title(effect(on: found)) + "?"
        let answer = StandardStreams.answer(to: "\(question) [y/N] ")?.lowercased()
        guard answer == "y" || answer == "yes" else {
            throw CommandFailure(.failed, "not confirmed: nothing was \(participle)")
        }
    }

    /// What it does to what was found: with nothing there, to what would start.
    func effect(on found: TargetPlan.Found) -> String {
        if !found.records.isEmpty { return "\(verb) \(Counted.runs(found.records.count))" }
        return "let nothing start under \(found.targets.map(\.description).joined(separator: ", "))"
    }

    private static func title(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }
}

/// Numbers with their nouns.
enum Counted {
    static func runs(_ count: Int) -> String { count == 1 ? "1 run" : "\(count) runs" }
}
