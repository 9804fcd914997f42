import InterruptCore

/// A command as a message shows it: words separated by one space, quoted where needed, escaped and cut.
struct CommandText: CustomStringConvertible {
    let description: String

    init(_ words: [[UInt8]], limit: Int = 200) {
        var text = ""
        for word in words where text.unicodeScalars.count <= limit {
            // What is cut away anyway need not be looked at: an argument may have 128 KiB.
            let shown = String(decoding: word.prefix(limit * 4), as: UTF8.self)
            if !text.isEmpty { text += " " }
            text += Self.isPlain(shown) ? shown : "'" + shown.replacing("'", with: "'\\''") + "'"
        }
        description = text.escapedForDisplay(limit: limit)
    }

    private static func isPlain(_ word: String) -> Bool {
        !word.isEmpty
            && word.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...0xFF:
                    true
                default: "-_./=:,@%+".utf8.contains(byte)
                }
            }
    }
}

extension [String] {
    /// The texts, cut where a line would be too long to read.
    func joinedForDisplay(limit: Int = 200) -> String {
        joined(separator: ", ").escapedForDisplay(limit: limit)
    }
}
