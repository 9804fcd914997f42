import InterruptCore

extension UsageText {
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
