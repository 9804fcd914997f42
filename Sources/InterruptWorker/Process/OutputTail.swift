internal import InterruptCore

/// The newest output that waits for its consumer, bounded: when the consumer is slow, the oldest is left out, which
/// shows as a gap between the offsets of the chunks.
struct OutputTail {
    /// A piece counts as at least this much, so that many tiny ones are bounded too.
    private static let leastCost = 64

    /// The most that waits, in bytes.
    let limit: Int
    private let pieceSize: Int
    private var pieces: [OutputChunk] = []
    /// What waits now, in bytes, each piece counted as at least 64.
    private(set) var waiting = 0

    /// An empty tail that holds at most `limit` bytes.
    init(limit: Int = 65_536) {
        self.limit = limit
        pieceSize = max(1, limit / 4)
    }

    /// Whether nothing waits.
    var isEmpty: Bool { pieces.isEmpty }

    /// Adds what was read from `stream` and stands at `offset` in the run's file.
    mutating func append(_ bytes: some RandomAccessCollection<UInt8>, of stream: OutputChunk.Stream, at offset: Int64) {
        let skipped = max(0, bytes.count - limit)
        var offset = offset + Int64(skipped)
        var rest = bytes.dropFirst(skipped)
        while !rest.isEmpty {
            let count = min(rest.count, roomInLastPiece(of: stream, at: offset) ?? pieceSize)
            append(piece: rest.prefix(count), of: stream, at: offset)
            rest = rest.dropFirst(count)
            offset += Int64(count)
        }
        leaveOutOldest()
    }

    /// Hands out all that waits, in the order of the file.
    mutating func take() -> [OutputChunk] {
        defer {
            pieces = []
            waiting = 0
        }
        return pieces
    }

    private func roomInLastPiece(of stream: OutputChunk.Stream, at offset: Int64) -> Int? {
        guard let last = pieces.last, last.stream == stream, last.bytes.count < pieceSize,
            last.offset + Int64(last.bytes.count) == offset
        else { return nil }
        return pieceSize - last.bytes.count
    }

    private mutating func append(piece: some Collection<UInt8>, of stream: OutputChunk.Stream, at offset: Int64) {
        if roomInLastPiece(of: stream, at: offset) != nil {
            let last = pieces.count - 1
            waiting -= cost(of: pieces[last])
            pieces[last].bytes.append(contentsOf: piece)
        } else {
            pieces.append(OutputChunk(stream: stream, offset: offset, bytes: Array(piece)))
        }
        waiting += cost(of: pieces[pieces.count - 1])
    }

    private mutating func leaveOutOldest() {
        var leftOut = 0
        while waiting > limit, leftOut < pieces.count - 1 {
            waiting -= cost(of: pieces[leftOut])
            leftOut += 1
        }
        pieces.removeFirst(leftOut)
    }

    private func cost(of piece: OutputChunk) -> Int { max(Self.leastCost, piece.bytes.count) }
}
