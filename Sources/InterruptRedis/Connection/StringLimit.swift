/// Cuts strings in replies that are longer than anything that is meant for us, as they come in: nobody fills our memory with a
/// key or a message. What is cut is no JSON any more, and whoever reads it finds it broken. hiredis has no such limit.
/// Decides; copies nothing.
struct StringLimit {
    /// What is to be read of the bytes that came.
    enum Piece: Equatable {
        /// These of them.
        case came(Range<Int>)
        /// Others, in the place of some or from before.
        case other([UInt8])
    }

    private enum State {
        /// At the beginning of a line; of one that announces a string, what had come before.
        case begins([UInt8])
        /// In a line that announces no string.
        case line
        /// In a string, or behind it before the end of its line: how many bytes are still to be read, and how many left out
        /// behind those.
        case string(Int, leftOut: Int)
    }

    /// As long as a number of 64 bits makes it.
    private static let longestAnnouncement = 24
    private static let lineEnd = Array("\r\n".utf8)

    let limit: Int
    private var state = State.begins([])

    init(limit: Int) { self.limit = limit }

    /// Takes in what came, and calls `read` with what is to be read, in order.
    mutating func pass<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes,
        _ read: (Piece) -> Void
    ) where Bytes.Index == Int {
        var next = bytes.startIndex
        // From here on everything is to be read as it came.
        var start = next
        func flush(_ end: Int) { if start < end { read(.came(start..<end)) } }
        while next < bytes.endIndex {
            switch state {
            case .begins(let before):
                guard (before.first ?? bytes[next]) == UInt8(ascii: "$") else {
                    state = .line
                    continue
                }
                let room = Self.longestAnnouncement - before.count
                let end = bytes[next...].prefix(room).firstIndex(of: Self.lineEnd[1]).map { $0 + 1 }
                if end == nil, bytes.endIndex - next < room {
                    flush(next)
                    state = .begins(before + bytes[next...])
                    return
                }
                let line = before + bytes[next..<(end ?? next)]
                let length = Self.length(announcedBy: line)
                if let length, length > limit {
                    flush(next)
                    read(.other(Array("$\(limit)\r\n".utf8)))
                    start = end ?? next
                    state = .string(limit, leftOut: length - limit)
                } else {
                    if !before.isEmpty { read(.other(before)) }
                    state = length.map { .string(max(0, $0) + ($0 < 0 ? 0 : 2), leftOut: 0) } ?? .line
                }
                next = end ?? next
            case .line:
                let end = bytes[next...].firstIndex(of: Self.lineEnd[1])
                next = end.map { $0 + 1 } ?? bytes.endIndex
                if end != nil { state = .begins([]) }
            case .string(0, leftOut: 0): state = .begins([])
            case .string(0, leftOut: let rest):
                flush(next)
                let count = min(rest, bytes.endIndex - next)
                next += count
                start = next
                state = rest == count ? .string(2, leftOut: 0) : .string(0, leftOut: rest - count)
            case .string(let rest, let leftOut):
                let count = min(rest, bytes.endIndex - next)
                next += count
                state = .string(rest - count, leftOut: leftOut)
            }
        }
        flush(next)
    }

    /// - Returns: `nil` for what announces nothing; whoever reads it says so.
    private static func length(announcedBy line: [UInt8]) -> Int? {
        guard line.suffix(2) == lineEnd[...] else { return nil }
        return Int(String(decoding: line.dropFirst().dropLast(2), as: UTF8.self))
    }
}
