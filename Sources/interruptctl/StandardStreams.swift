import Glibc

/// The process's own output, unbuffered: what was said is said, whatever comes next.
enum StandardStreams {
    /// Writes one or more lines of ours to stdout.
    static func out(_ text: String) { write(Array((text + "\n").utf8), to: STDOUT_FILENO) }

    /// Writes one or more lines of ours to stderr.
    static func error(_ text: String) { write(Array((text + "\n").utf8), to: STDERR_FILENO) }

    /// Writes bytes as they are. When nobody reads our stdout any more, as behind `| head`, the process ends as other
    /// programs do; what cannot be written to stderr is left out.
    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, -1)
            } else if errno == EPIPE, descriptor == STDOUT_FILENO {
                endOfReaders()
            } else if errno != EINTR {
                return
            }
        }
    }

    /// Our sockets have SIGPIPE ignored; and the threads of the runtime are closed to signals.
    private static func endOfReaders() -> Never {
        signal(SIGPIPE, SIG_DFL)
        var pipe = sigset_t()
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        pthread_sigmask(SIG_UNBLOCK, &pipe, nil)
        raise(SIGPIPE)
        exit(128 + SIGPIPE)
    }

    /// Reads one line from stdin; `nil` at its end.
    static func answer(to question: String) -> String? {
        write(Array(question.utf8), to: STDERR_FILENO)
        return readLine()
    }
}
