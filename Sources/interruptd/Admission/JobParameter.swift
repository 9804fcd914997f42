import InterruptCore

/// What a named job may be given under one name.
struct JobParameter: Equatable, Sendable {
    enum Kind: Equatable, Sendable {
        /// Any text that matches. Empty only where the pattern lets it be.
        case text(pattern: TextPattern?, maximumLength: Int, allowsDash: Bool)
        case integer(ClosedRange<Int>)
        /// A file or directory, existing or not, in the directory `under`.
        case path(under: String)
        case choice([String])
        /// `true` puts `argument` into the command, `false` nothing.
        case flag(argument: String)
    }

    let kind: Kind
    /// What holds when nothing is given; `nil` when something must be.
    let defaultValue: String?

    var isFlag: Bool { if case .flag = kind { true } else { false } }

    /// What the command gets for `value`; `nil` when it gets nothing at all.
    ///
    /// - Throws: ``JobRefusal`` as the end of a sentence that begins with the parameter's name.
    func argument(for value: String) throws(JobRefusal) -> String? {
        let shown = "'\(value.escapedForDisplay(limit: 100))'"
        guard !value.utf8.contains(0) else { throw JobRefusal("\(shown) contains a NUL byte") }
        switch kind {
        case .text(let pattern, let maximumLength, let allowsDash):
            guard value.utf8.count <= maximumLength else {
                throw JobRefusal("has \(value.utf8.count) bytes, at most \(maximumLength)")
            }
            guard allowsDash || !value.hasPrefix("-") else {
                throw JobRefusal("\(shown) begins with '-', as an option does")
            }
            if let pattern {
                guard pattern.matches(value) else {
                    throw JobRefusal("\(shown) does not match '\(pattern.text.escapedForDisplay(limit: 100))'")
                }
            } else if value.isEmpty {
                throw JobRefusal("is empty")
            }
            return value
        case .integer(let range):
            guard let number = Self.number(value) else { throw JobRefusal("\(shown) is not a whole number") }
            guard range.contains(number) else {
                throw JobRefusal("\(shown) is not from \(range.lowerBound) to \(range.upperBound)")
            }
            return "\(number)"
        case .path(let root):
            do throws(ConfinedPath.Problem) {
                return try ConfinedPath.resolved(value, under: root)
            } catch {
                throw JobRefusal("\(shown) \(error.text.escapedForDisplay(limit: 200))")
            }
        case .choice(let choices):
            guard choices.contains(value) else {
                throw JobRefusal("\(shown) is not one of \(choices.joinedForDisplay())")
            }
            return value
        case .flag(let argument):
            switch value {
            case "true": return argument
            case "false": return nil
            default: throw JobRefusal("\(shown) is not true or false")
            }
        }
    }

    /// Digits, with a `-` before them at most: what Swift reads besides is no number to other programs.
    private static func number(_ text: String) -> Int? {
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return Int(text)
    }
}

/// Why a named job does not run.
struct JobRefusal: Error, Equatable {
    let text: String

    init(_ text: String) {
        self.text = text
    }
}
