import InterruptCore

/// One `--allow`: which command may run, argument by argument.
///
/// The pattern is split into words at spaces; `'…'` and `"…"` keep what is in them together and as it is, and so does a
/// `\` before one character. Each word stands for one argument:
///
/// - `*` stands for any text, also for none. At the beginning of a word it does not stand for a `-`, so that a file is no
///   option; write `-*` for options.
/// - A word with a `*` never matches an argument with `..` in it, which could lead out of a directory.
/// - `**` as the last word stands for any further arguments, and for none.
/// - The first word is the program. Without a `/` it is a bare name, as it was submitted; with one it is the path of
///   the program that would run, which `*` matches between two slashes only.
struct CommandPattern: Equatable, Sendable {
    /// A part of a word.
    enum Part: Equatable, Sendable {
        case bytes([UInt8])
        case anyText
    }

    /// One argument.
    struct Word: Equatable, Sendable {
        var parts: [Part]

        var hasWildcard: Bool { parts.contains(.anyText) }
    }

    /// What a pattern may have at most, in bytes: more is no rule that anybody reads.
    static let maximumLength = 1_024

    /// The pattern as it was given.
    let text: String
    private let program: Word
    private let arguments: [Word]
    /// Whether any further arguments may follow.
    private let isOpen: Bool
    /// Whether the program is a path.
    private let isPath: Bool

    /// - Parameter origin: where the pattern stands, for messages.
    init(_ text: String, origin: String) throws(InvalidSetting) {
        func wrong(_ why: String) -> InvalidSetting {
            InvalidSetting("\(origin): '\(text.escapedForDisplay(limit: 80))' is no pattern of a command: \(why)")
        }
        guard text.utf8.count <= Self.maximumLength else {
            throw wrong("\(text.utf8.count) bytes, at most \(Self.maximumLength)")
        }
        var reader = PatternReader(text)
        guard let read = reader.words() else { throw wrong("a quote is not closed, or a '\\' stands at the end") }
        var words = read
        isOpen = words.last?.isRest ?? false
        if isOpen { words.removeLast() }
        guard !words.contains(where: \.isRest) else { throw wrong("'**' may only be the last word") }
        guard let first = words.first, !first.word.parts.isEmpty else { throw wrong("it needs a program") }
        program = first.word
        guard program.parts != [.anyText] else {
            throw wrong("it allows every program; if that is meant, pass --allow-any-command")
        }
        isPath = program.parts.contains { if case .bytes(let bytes) = $0 { bytes.contains(.slash) } else { false } }
        guard !isPath || program.beginsWithSlash else {
            throw wrong("a program with a '/' is matched by its whole path, which begins with '/'")
        }
        arguments = words.dropFirst().map(\.word)
        self.text = text
    }

    /// Whether a command may run.
    ///
    /// - Parameters:
    ///   - words: the program as it was submitted, and its arguments.
    ///   - path: the file that would run; `nil` when there is none.
    func matches(_ words: [[UInt8]], path: [UInt8]?) -> Bool {
        guard let name = words.first, matchesProgram(name, path: path) else { return false }
        let given = words.dropFirst()
        guard isOpen ? given.count >= arguments.count : given.count == arguments.count else { return false }
        return zip(arguments, given).allSatisfy { word, argument in
            if word.hasWildcard, argument.hasDoubleDot { return false }
            if word.parts.first == .anyText, argument.first == .dash { return false }
            return word.matches(argument)
        }
    }

    private func matchesProgram(_ name: [UInt8], path: [UInt8]?) -> Bool {
        guard isPath else { return !name.contains(.slash) && program.matches(name) }
        guard let path, path.first == .slash else { return false }
        if program.hasWildcard, path.hasDoubleDot { return false }
        return program.matches(path, crossesSlash: false)
    }
}

extension CommandPattern.Word {
    fileprivate var beginsWithSlash: Bool {
        if case .bytes(let start)? = parts.first { start.first == .slash } else { false }
    }

    /// Whether the parts make up all of `text`. Takes no longer than the product of the two lengths.
    ///
    /// - Parameter crossesSlash: whether `*` may stand for a `/`.
    fileprivate func matches(_ text: [UInt8], crossesSlash: Bool = true) -> Bool {
        var position = text.startIndex
        var part = parts.startIndex
        /// Where the last `*` stood, and how far it reaches so far: the only place to go back to.
        var star: (part: Int, end: Int)?
        while true {
            if part < parts.endIndex, parts[part] == .anyText {
                part += 1
                star = (part, position)
            } else if part < parts.endIndex, case .bytes(let bytes) = parts[part], text[position...].starts(with: bytes)
            {
                position += bytes.count
                part += 1
            } else if part == parts.endIndex, position == text.endIndex {
                return true
            } else if let last = star, last.end < text.endIndex, crossesSlash || text[last.end] != .slash {
                star = (last.part, last.end + 1)
                (part, position) = (last.part, last.end + 1)
            } else {
                return false
            }
        }
    }
}

/// Splits a pattern into words.
private struct PatternReader {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        rest = Substring(text).utf8
    }

    /// `nil` when a quote is not closed. `isRest` is an unquoted `**` and nothing else.
    mutating func words() -> [(word: CommandPattern.Word, isRest: Bool)]? {
        var words: [(word: CommandPattern.Word, isRest: Bool)] = []
        while true {
            rest = rest.drop { $0 == .space }
            if rest.isEmpty { return words }
            let start = rest
            guard let word = word() else { return nil }
            let raw = start[..<rest.startIndex]
            words.append((word, raw.elementsEqual("**".utf8)))
        }
    }

    private mutating func word() -> CommandPattern.Word? {
        var parts: [CommandPattern.Part] = []
        // An empty word is one that was quoted.
        var bytes: [UInt8] = []
        func flushed(_ parts: [CommandPattern.Part]) -> [CommandPattern.Part] {
            bytes.isEmpty ? parts : parts + [.bytes(bytes)]
        }
        while let byte = rest.first, byte != .space {
            rest.removeFirst()
            switch byte {
            case UInt8(ascii: "*"):
                parts = flushed(parts)
                bytes = []
                if parts.last != .anyText { parts.append(.anyText) }
            case UInt8(ascii: "\\"):
                guard let next = rest.popFirst() else { return nil }
                bytes.append(next)
            case UInt8(ascii: "'"):
                guard let end = rest.firstIndex(of: byte) else { return nil }
                bytes += rest[..<end]
                rest = rest[rest.index(after: end)...]
            case UInt8(ascii: "\""):
                guard let quoted = doubleQuoted() else { return nil }
                bytes += quoted
            default: bytes.append(byte)
            }
        }
        return CommandPattern.Word(parts: flushed(parts))
    }

    private mutating func doubleQuoted() -> [UInt8]? {
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return bytes
            case UInt8(ascii: "\\"):
                guard let next = rest.popFirst() else { return nil }
                bytes.append(next)
            default: bytes.append(byte)
            }
        }
        return nil
    }
}

extension UInt8 {
    fileprivate static let space = UInt8(ascii: " ")
    fileprivate static let slash = UInt8(ascii: "/")
    fileprivate static let dash = UInt8(ascii: "-")
}

extension [UInt8] {
    fileprivate var hasDoubleDot: Bool {
        zip(self, dropFirst()).contains { $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".") }
    }
}
