import InterruptCore

/// What is said about wrong usage. It repeats what was typed, so it is made fit for a terminal.
enum UsageText {
    /// The parser's message as an error and a hint, a line each.
    static func shown(_ message: String) -> String {
        var lines = message.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
        guard !lines.isEmpty else { return "error: wrong usage" }
        var error = lines.removeFirst()
        if error.hasPrefix("Error: ") { error = "error: " + error.dropFirst("Error: ".count) }
        // The parser's own texts hold nothing to escape, only what was typed does.
        let shown = shortened(error).escapedForDisplay()
        guard let see = lines.last(where: { $0.contains("See '") }),
            let command = see.split(separator: "'").dropFirst().first
        else { return shown }
        return shown + "\nhint: run '\(command)'"
    }

    /// What was typed may be long; what is allowed stands at the end.
    private static func shortened(_ text: String) -> String {
        text.count <= 600 ? text : text.prefix(150) + "…" + text.suffix(300)
    }

    /// A word in a command's place that is none; `nil` when there is nothing to say about it.
    static func unknownCommand(_ word: String, known: [String]) -> CommandFailure? {
        if word.hasPrefix("-") || known.contains(word) { return nil }
        let near = known.map { ($0, distance(word, $0)) }.min { $0.1 < $1.1 }
        let suggestion = near.flatMap { $0.1 <= max(1, $0.0.count / 3) ? " Did you mean '\($0.0)'?" : nil } ?? ""
        return CommandFailure(
            .usage,
            "unknown command '\(word.escapedForDisplay(limit: 60))'.\(suggestion)",
            hint: "run 'interruptctl --help'"
        )
    }

    /// How many letters must be changed, added or left out (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right)
        var previous = Array(0...right.count)
        for (row, character) in left.prefix(40).enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                let change = previous[column] + (character == other ? 0 : 1)
                current.append(min(change, previous[column + 1] + 1, current[column] + 1))
            }
            previous = current
        }
        return previous[right.count]
    }
}
