import Glibc
import Synchronization

/// Standard error, written in whole lines. A reader that is gone is no reason to stop: the write fails and is forgotten. Nor
/// is one that does not read: it is waited for once, for a moment, and from then on lines are left out until it reads again.
enum StandardError {
    /// For how long whoever writes a line waits for a reader that has read until now. In milliseconds.
    private static let patience: Int32 = 200
    /// As much as a pipe takes at once when it takes anything.
    private static let pieceSize = Int(PIPE_BUF)

    private enum Reader {
        case reads
        /// So many lines were left out; the first of them perhaps in the middle.
        case isBehind(leftOut: Int, isInLine: Bool)
    }

    private static let reader = Mutex(Reader.reads)

    /// Writes a line, or leaves it out.
    ///
    /// - Parameter gap: the line that says how many were left out before.
    static func write(_ text: String, gap: (Int) -> String = { "... \($0) lines left out, nobody read them\n" }) {
        reader.withLock { reader in
            if case .isBehind(let count, let isInLine) = reader {
                guard put((isInLine ? "\n" : "") + gap(count), patience: 0) == 0 else {
                    reader = .isBehind(leftOut: count + 1, isInLine: isInLine)
                    return
                }
                reader = .reads
            }
            let rest = put(text, patience: patience)
            if rest > 0 { reader = .isBehind(leftOut: 1, isInLine: rest < text.utf8.count) }
        }
    }

    /// Writes a text as long as it is taken. Answers how many bytes of it were not; none where nobody will ever take them.
    private static func put(_ text: String, patience: Int32) -> Int {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                var entry = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
                let ready = poll(&entry, 1, patience)
                if ready < 0, errno == EINTR { continue }
                if ready == 0 { return rest.count }
                let count = Glibc.write(STDERR_FILENO, rest.baseAddress, min(rest.count, pieceSize))
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return 0 }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return 0
        }
    }
}
