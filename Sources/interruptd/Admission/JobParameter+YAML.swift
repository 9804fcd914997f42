import InterruptCore

extension JobParameter {
    /// Lets a text be as long as that when the file does not say.
    private static let maximumLength = 1_024

    /// - Throws: ``InvalidSetting`` with file, line and column.
    init(_ entry: YAMLNode.Entry) throws(InvalidSetting) {
        var fields = YAMLFields(of: "parameter \(entry.name)", try entry.value.entries(), place: entry.place)
        let defaultValue = try fields.text("default")
        let type = try fields.text("type") ?? ""
        switch type {
        case "text":
            let pattern = try fields.text("pattern")
            kind = .text(
                pattern: try pattern.map { text throws(InvalidSetting) in
                    do throws(TextPattern.Problem) {
                        return try TextPattern(text)
                    } catch {
                        throw fields.wrong("pattern", "'\(text.escapedForDisplay(limit: 100))': \(error.text)")
                    }
                },
                maximumLength: try fields.number("max_length", in: 0...131_071) ?? Self.maximumLength,
                allowsDash: try fields.flag("allow_dash") ?? false
            )
        case "integer":
            let least = try fields.number("min", in: .min ... .max) ?? 0
            let most = try fields.number("max", in: .min ... .max) ?? .max
            guard least <= most else { throw fields.wrong("min", "\(least) is more than max, \(most)") }
            kind = .integer(least...most)
        case "path":
            guard let root = try fields.text("under"), root.hasPrefix("/"), !root.utf8.contains(0) else {
                throw fields.wrong("under", "a path needs the absolute path of the directory that it is in")
            }
            kind = .path(under: root)
        case "choice":
            guard let choices = try fields.texts("of"), !choices.isEmpty else {
                throw fields.wrong("of", "a choice needs the list of what can be chosen")
            }
            kind = .choice(choices)
        case "flag":
            guard let argument = try fields.text("argument"), !argument.isEmpty else {
                throw fields.wrong("argument", "a flag needs the argument that it stands for")
            }
            kind = .flag(argument: argument)
        default:
            let shown = type.escapedForDisplay(limit: 40)
            throw fields.wrong("type", "'\(shown)' is none of text, integer, path, choice, flag")
        }
        try fields.expectNothingElse()
        self.defaultValue = defaultValue ?? (type == "flag" ? "false" : nil)
        // What a path leads to is looked at when it is used.
        if type == "path" { return }
        do throws(JobRefusal) {
            if let defaultValue { _ = try argument(for: defaultValue) }
        } catch {
            throw fields.wrong("default", error.text)
        }
    }
}
