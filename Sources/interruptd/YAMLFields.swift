import InterruptCore

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
