/// The last line that a run has written, from what it writes piece by piece.
public struct LastLine: Sendable {
    /// The longest line that is kept, in bytes.
    private static let longest = 400
    /// How much of the end is looked at: empty lines may follow the last one.
    private static let window = 4_096

    private var end: [UInt8] = []

    /// Nothing is written yet.
    public init() {}

    /// Adds what was written next.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        end.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes.suffix(Self.window)))
        if end.count > 2 * Self.window { end.removeFirst(end.count - Self.window) }
    }

    /// The end of the last line that is not empty, at most 400 bytes of it; `nil` when there is none.
    public var text: String? {
        let lines = end.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") })
        guard let line = lines.last else { return nil }
        guard line.count > Self.longest else { return String(decoding: line, as: UTF8.self) }
        // The cut may go through a character, whose rest is left out too.
        return String(decoding: line.suffix(Self.longest).drop { $0 & 0xC0 == 0x80 }, as: UTF8.self)
    }
}
