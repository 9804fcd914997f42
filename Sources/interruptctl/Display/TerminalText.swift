import InterruptCore

/// What a job has written, as a terminal shows it: lines and tabs as they are, everything that could steer the terminal as a
/// visible escape. Takes the bytes of one stream in pieces of any size.
struct TerminalText {
    /// The beginning of a character whose rest has not come yet, or a carriage return that may end a line.
    private var open: [UInt8] = []

    /// What is to be shown of these bytes, and of what was open before.
    mutating func visible(_ bytes: [UInt8]) -> [UInt8] {
        let all = open + bytes
        let whole = all.dropLast(Self.openCount(at: all))
        open = Array(all[whole.endIndex...])
        return Self.shown(whole)
    }

    /// What is to be shown when nothing follows.
    mutating func end() -> [UInt8] {
        defer { open = [] }
        return Self.shown(open[...])
    }

    private static func shown(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        for index in scalars.indices {
            let scalar = scalars[index]
            let endsLine = scalar == "\r" && scalars[scalars.index(after: index)...].first == "\n"
            if scalar == "\n" || scalar == "\t" || endsLine {
                result.append(UInt8(scalar.value))
            } else {
                result += scalar.displayEscape.map { Array($0.utf8) } ?? Array(scalar.utf8)
            }
        }
        return result
    }

    /// How many bytes at the end need what comes next to be shown.
    private static func openCount(at bytes: [UInt8]) -> Int {
        if bytes.last == UInt8(ascii: "\r") { return 1 }
        for (count, byte) in bytes.suffix(3).reversed().enumerated() {
            switch byte {
            case 0x80...0xBF: continue
            case 0xC2...0xDF: return count < 1 ? count + 1 : 0
            case 0xE0...0xEF: return count < 2 ? count + 1 : 0
            case 0xF0...0xF4: return count < 3 ? count + 1 : 0
            default: return 0
            }
        }
        return 0
    }
}
