/// What both programs say about wrong usage. It repeats what was typed, so it is made fit for a terminal.
package enum UsageText {
    /// The parser's message as an error and a hint, a line each.
    package static func shown(_ message: String) -> String {
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
}
