/// Finds the messages of subscriptions in what a server says, however it is cut into pieces. RESP2 only: of anything else
/// nothing is a message.
struct PushFrames {
    /// A message, and where in the last piece it ends.
    struct Push: Equatable {
        var bytes: [UInt8]
        var end: Int
    }

    private enum Place {
        /// In a line that begins a value. Then `body`, the next line, or `lost`.
        case line([UInt8])
        /// In a value of known length, with this many bytes to come. Then `line`.
        case body(Int)
        /// This is not RESP2. Stays.
        case lost
    }

    private var place = Place.line([])
    /// How many values are still to come of each list that is open.
    private var open: [Int] = []
    private var frame: [UInt8] = []

    /// The messages that end in these bytes, which follow the ones before.
    mutating func pushes(completedBy bytes: [UInt8]) -> [Push] {
        var found: [Push] = []
        for (index, byte) in bytes.enumerated() {
            if case .lost = place { return found }
            frame.append(byte)
            guard take(byte) else { continue }
            if frame.starts(with: "*3\r\n$7\r\nmessage\r\n".utf8) { found.append(Push(bytes: frame, end: index + 1)) }
            frame = []
        }
        return found
    }

    /// Whether a whole value, with all that is in it, ends with this byte.
    private mutating func take(_ byte: UInt8) -> Bool {
        switch place {
        case .lost: return false
        case .body(let left):
            if left > 1 {
                place = .body(left - 1)
                return false
            }
            place = .line([])
            return valueEnded()
        case .line(var line):
            line.append(byte)
            place = .line(line)
            guard byte == UInt8(ascii: "\n") else { return false }
            place = .line([])
            return lineEnded(line)
        }
    }

    private mutating func lineEnded(_ line: [UInt8]) -> Bool {
        let length = Int(String(decoding: line.dropFirst().dropLast(2), as: UTF8.self))
        switch (line.first, length) {
        case (UInt8(ascii: "+"), _), (UInt8(ascii: "-"), _), (UInt8(ascii: ":"), _): return valueEnded()
        case (UInt8(ascii: "$"), let length?) where length >= 0:
            place = .body(length + 2)
            return false
        case (UInt8(ascii: "*"), let length?) where length > 0:
            open.append(length)
            return false
        case (UInt8(ascii: "$"), _?), (UInt8(ascii: "*"), _?): return valueEnded()
        default:
            place = .lost
            return false
        }
    }

    private mutating func valueEnded() -> Bool {
        while let last = open.popLast() {
            if last > 1 {
                open.append(last - 1)
                return false
            }
        }
        return true
    }
}
