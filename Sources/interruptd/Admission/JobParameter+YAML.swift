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

/// The entries of one thing in a file, taken out by name; what is left over is not known.
struct YAMLFields {
    private let subject: String
    private let place: String
    private var entries: [String: YAMLNode.Entry]
    private var known: [String] = []

    /// - Parameter place: where the thing itself begins, for what is missing.
    init(of subject: String, _ entries: [YAMLNode.Entry], place: String) {
        self.subject = subject.escapedForDisplay(limit: 140)
        self.place = place
        self.entries = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, $0) })
    }

    mutating func take(_ name: String) -> YAMLNode.Entry? {
        known.append(name)
        return entries[name]
    }

    mutating func text(_ name: String) throws(InvalidSetting) -> String? {
        guard let entry = take(name) else { return nil }
        guard let text = entry.value.text else { throw wrong(name, "takes one value") }
        return text
    }

    mutating func texts(_ name: String) throws(InvalidSetting) -> [String]? {
        guard let entry = take(name) else { return nil }
        guard entry.value.list != nil, let texts = entry.value.texts else {
            throw wrong(name, "takes a list of values")
        }
        return texts
    }

    mutating func entries(_ name: String) throws(InvalidSetting) -> [YAMLNode.Entry] {
        try take(name)?.value.entries() ?? []
    }

    mutating func number(_ name: String, in range: ClosedRange<Int>) throws(InvalidSetting) -> Int? {
        guard let text = try text(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            let allowed = range == .min ... .max ? "" : " from \(range.lowerBound) to \(range.upperBound)"
            throw wrong(name, "'\(text.escapedForDisplay(limit: 40))' is not a whole number\(allowed)")
        }
        return number
    }

    mutating func duration(_ name: String) throws(InvalidSetting) -> Duration? {
        guard let text = try text(name) else { return nil }
        do throws(DurationError) {
            return try Duration(text: text)
        } catch {
            throw wrong(name, "\(error)")
        }
    }

    mutating func flag(_ name: String) throws(InvalidSetting) -> Bool? {
        guard let text = try text(name) else { return nil }
        guard text == "true" || text == "false" else {
            throw wrong(name, "'\(text.escapedForDisplay(limit: 40))' is not true or false")
        }
        return text == "true"
    }

    /// An error about one of the entries, with its place.
    func wrong(_ name: String, _ why: String) -> InvalidSetting {
        InvalidSetting("\(entries[name]?.place ?? place): \(subject): \(name): \(why)")
    }

    /// To be called when all that is known has been taken out.
    func expectNothingElse() throws(InvalidSetting) {
        guard let entry = entries.values.filter({ !known.contains($0.name) }).min(by: { $0.name < $1.name }) else {
            return
        }
        let shown = entry.name.escapedForDisplay(limit: 40)
        throw InvalidSetting(
            "\(entry.place): \(subject): unknown '\(shown)': known are \(known.joined(separator: ", "))"
        )
    }
}
