import InterruptCore

/// Numbers the entries of a run's output stream by what they cost, so that the stream is bounded by its size in memory
/// and not by its number of entries.
struct OutputBound {
    /// How much of the output stays in Redis, with ``entryCost`` for each entry: of a command that writes less, a reader
    /// gets every byte.
    static let limit: Int64 = 16 << 20
    /// What an entry takes besides its bytes.
    static let entryCost: Int64 = 256

    private var cost: Int64 = 0

    /// The number of the entry with `chunk`, and the lowest one that has room beside it.
    mutating func place(of chunk: OutputChunk) -> (id: Int64, lowest: Int64) {
        cost += Int64(chunk.bytes.count) + Self.entryCost
        return (cost, max(0, cost - Self.limit))
    }
}
