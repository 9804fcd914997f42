import InterruptCore

/// Help that belongs to no single command.
enum HelpTopic {
    /// What the stages are and what Ctrl-C does.
    static var interrupts: String {
        var lines = StageTexts.help + [""]
        for stage in InterruptStage.allCases {
            lines.append("Stage \(stage.rawValue), \(stage.name): \(StageTexts.heading(stage))")
            lines += StageTexts.details(stage).map { "  - \($0)" }
        }
        lines += [
            "",
            "'interruptctl drain', 'cancel' and 'kill' ask for stage 1, 2 and 3. A stage only ever rises.",
            "In 'interruptctl run', the first Ctrl+C interrupts the remote job (stage 2), the second kills it (stage 3),",
            "the third leaves it alone and returns to the shell.",
            "In 'interruptctl watch', Ctrl+C and Esc leave. Neither interrupts what is watched.",
        ]
        return lines.joined(separator: "\n")
    }
}
