import Glibc

/// The process's own output, unbuffered: what was said is said, whatever comes next.
enum StandardStreams {
    /// Writes one or more lines of ours to stdout.
    static func out(_ text: String) { write(Array((text + "\n").utf8), to: STDOUT_FILENO) }

    /// Writes one or more lines of ours to stderr.
    static func error(_ text: String) { write(Array((text + "\n").utf8), to: STDERR_FILENO) }

    /// Writes bytes as they are; gives up when nobody reads any more.
    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, -1)
            } else if errno != EINTR {
                return
            }
        }
    }

    /// Reads one line from stdin; `nil` at its end.
    static func answer(to question: String) -> String? {
        write(Array(question.utf8), to: STDERR_FILENO)
        return readLine()
    }
}
