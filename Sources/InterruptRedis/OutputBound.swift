import InterruptCore

/// Numbers the entries of a run's output stream by what they cost, so that the stream is bounded by its size in memory
/// and not by its number of entries.
struct OutputBound {
    /// How much of the output stays in Redis: of a command that writes less, a reader gets every byte, however late.
    static let limit: Int64 = 16 << 20
    /// What an entry takes besides its bytes.
    static let entryCost: Int64 = 256

    private var cost: Int64 = 0

    /// The command that adds `chunk` to the stream `key` and drops what no longer has room.
    mutating func addition(of chunk: OutputChunk, to key: String) -> RedisCommand {
        cost += Int64(chunk.bytes.count) + Self.entryCost
        return RedisCommand(
            "XADD",
            .init(key),
            "MINID",
            "~",
            .init(max(0, cost - Self.limit)),
            .init("\(cost)-0"),
            "stream",
            .init(chunk.stream.rawValue),
            "offset",
            .init(chunk.offset),
            "data",
            .init(chunk.bytes)
        )
    }
}
