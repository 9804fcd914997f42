internal import InterruptCore

/// What of a run's file its consumer has not got yet. It holds places, not bytes, so it costs no memory.
///
/// It is bounded: of a job that is too far ahead the oldest is left out, which shows as a gap between offsets.
struct OutputBacklog {
    /// A part of the file that came from one stream.
    struct Stretch: Equatable {
        let stream: OutputChunk.Stream
        var range: Range<Int64>

        /// A stretch counts as at least this much, so that many tiny ones are bounded too.
        static let leastCost: Int64 = 1_024
        var cost: Int64 { max(Self.leastCost, Int64(range.count)) }
    }

    /// How far the job may be ahead, in bytes.
    let limit: Int64
    private var stretches: [Stretch] = []
    /// What waits now, in bytes, each stretch counted as at least 1 KiB.
    private(set) var waiting: Int64 = 0

    /// An empty backlog.
    init(limit: Int64) {
        self.limit = limit
    }

    /// Whether nothing waits.
    var isEmpty: Bool { stretches.isEmpty }

    /// Adds what was written to the file at `offset`.
    mutating func append(count: Int, of stream: OutputChunk.Stream, at offset: Int64) {
        guard count > 0 else { return }
        let end = offset + Int64(count)
        if let last = stretches.last, last.stream == stream, last.range.upperBound == offset {
            waiting -= last.cost
            stretches[stretches.count - 1].range = last.range.lowerBound..<end
        } else {
            stretches.append(Stretch(stream: stream, range: offset..<end))
        }
        waiting += stretches[stretches.count - 1].cost
        // A quarter at a time: few large gaps instead of many small ones.
        if waiting > limit { leaveOut(downTo: limit - limit / 4) }
    }

    /// Leaves out the oldest until no more than `size` waits.
    mutating func leaveOut(downTo size: Int64) {
        var count = 0
        while waiting > size {
            let stretch = stretches[count]
            let rest = size - (waiting - stretch.cost)
            waiting -= stretch.cost
            if rest >= Stretch.leastCost {
                stretches[count].range = (stretch.range.upperBound - rest)..<stretch.range.upperBound
                waiting += rest
            } else {
                count += 1
            }
        }
        stretches.removeFirst(count)
    }

    /// Hands out the oldest, at most `size`, in pieces of at most `pieceSize`.
    mutating func take(atMost size: Int64, pieceSize: Int64) -> [Stretch] {
        var pieces: [Stretch] = []
        var room = size
        var count = 0
        while room > 0, count < stretches.count {
            let stretch = stretches[count]
            let end = stretch.range.lowerBound + min(pieceSize, room, Int64(stretch.range.count))
            let piece = Stretch(stream: stretch.stream, range: stretch.range.lowerBound..<end)
            pieces.append(piece)
            room -= piece.cost
            waiting -= stretch.cost
            if end == stretch.range.upperBound {
                count += 1
            } else {
                stretches[count].range = end..<stretch.range.upperBound
                waiting += stretches[count].cost
            }
        }
        stretches.removeFirst(count)
        return pieces
    }
}
