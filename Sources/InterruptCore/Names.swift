/// The name of a job, group, queue or worker: a letter or digit, then letters, digits, `.`, `_` and `-`; 1 to 128 bytes.
///
/// The alphabet leaves out every character that means something in a Redis key, a glob, a path or a shell.
public struct Name: Hashable, Sendable, CustomStringConvertible {
    /// The most bytes a name may have.
    public static let maximumLength = 128

    /// The text of the name.
    public let description: String

    /// Accepts `text` as it is, or says what is wrong with it.
    ///
    /// - Throws: ``NameError`` with the offset of the first byte that is not allowed. `all` is refused: it is the
    ///   target that means every job.
    public init(_ text: String) throws(NameError) {
        if text.isEmpty { throw NameError(text: text, problem: .empty) }
        if text == "all" { throw NameError(text: text, problem: .reserved) }
        for (offset, byte) in text.utf8.enumerated() {
            let isAllowed =
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): offset > 0
                default: false
                }
            if !isAllowed { throw NameError(text: text, problem: .byte(offset: offset)) }
        }
        if text.utf8.count > Self.maximumLength {
            throw NameError(text: text, problem: .tooLong(bytes: text.utf8.count))
        }
        self.description = text
    }
}

/// Why a text is not a ``Name``.
public struct NameError: Error, Equatable, CustomStringConvertible {
    enum Problem: Equatable {
        case empty
        case reserved
        case byte(offset: Int)
        case tooLong(bytes: Int)
    }

    let text: String
    let problem: Problem

    /// One sentence: what is wrong where, and what is allowed. The text itself is shown cut and escaped.
    public var description: String {
        let rule = "allowed are A-Z a-z 0-9 . _ -, the first a letter or digit, 1-\(Name.maximumLength) bytes"
        return switch problem {
        case .empty: "the name is empty: \(rule)"
        case .reserved: "'all' is reserved: it is the target that means every job"
        case .byte(let offset): "'\(text.escapedForDisplay(limit: 40))' is not a name (byte \(offset)): \(rule)"
        case .tooLong(let bytes): "the name has \(bytes) bytes: \(rule)"
        }
    }
}

/// One execution of a job: 20 random base-36 characters, unique for good.
public struct RunID: Hashable, Sendable, CustomStringConvertible, RawRepresentable {
    /// The text of the id.
    public let rawValue: String

    /// Takes an id that was read from somewhere.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A new id.
    public static func random() -> RunID { RunID(rawValue: randomIdentifier(length: 20)) }

    /// The text of the id.
    public var description: String { rawValue }
}

/// What makes a repeated request the same request.
public struct RequestID: Hashable, Sendable, CustomStringConvertible, RawRepresentable {
    /// The text of the id.
    public let rawValue: String

    /// Takes an id that was read or given.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A new id.
    public static func random() -> RequestID { RequestID(rawValue: randomIdentifier(length: 20)) }

    /// The text of the id.
    public var description: String { rawValue }
}

/// Twelve characters for each random number: what is left of it after them would be as random, but is not needed.
private func randomIdentifier(length: Int) -> String {
    let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
    var bytes: [UInt8] = []
    var rest: UInt64 = 0
    for index in 0..<length {
        if index.isMultiple(of: 12) { rest = .random(in: 0 ... .max) }
        bytes.append(alphabet[Int(rest % 36)])
        rest /= 36
    }
    return String(decoding: bytes, as: UTF8.self)
}
