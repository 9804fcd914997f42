import Dispatch
import Glibc
import InterruptCore

/// The Esc key of the terminal in front of which somebody watches.
///
/// A terminal hands out whole lines unless it is told otherwise, and what it was told outlives the process: so this is
/// taken back before anything else happens that ends or stops the process.
enum EscapeKey {
    /// Whatever ends or stops the process, or lets it go on, at which the terminal must be as before. Ctrl-C is not among
    /// them: it ends the watching.
    private static let turns = [SIGTSTP, SIGCONT, SIGTERM, SIGHUP, SIGQUIT]

    /// Calls `press` for each press until the task is cancelled. Returns at once where nobody sits: unless stdin and
    /// stdout are a terminal. In a shell's background the keys are the shell's.
    static func watch(_ press: @Sendable @escaping () -> Void) async throws {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return }
        while !Task.isCancelled {
            let turn = try await withUnixSignals(turns) { signals -> Int32? in
                let keys = Keys(press)
                defer { keys?.restore() }
                return await signals.makeAsyncIterator().next(isolation: #isolation)
            }
            if let turn { follow(turn) }
        }
    }

    /// Lets a signal do what it would have done without us. The runtime's threads are closed to signals: opened for it,
    /// this one is stopped by it before it can go on.
    private static func follow(_ number: Int32) {
        var signal = sigset_t()
        var closed = sigset_t()
        sigemptyset(&signal)
        sigaddset(&signal, number)
        pthread_sigmask(SIG_UNBLOCK, &signal, &closed)
        raise(number)
        pthread_sigmask(SIG_SETMASK, &closed, nil)
    }

    /// Whether bytes that came at once are, at their end, the key: the sequences of other keys begin with the same byte,
    /// but none ends with it.
    static func isPressed(at bytes: some BidirectionalCollection<UInt8>) -> Bool { bytes.last == 0x1B }
}

/// The keys of the terminal, each as it is pressed.
private struct Keys {
    /// Between the bytes of one key's sequence less time passes, also over a network; between two keys more.
    private static let sequenceMilliseconds: Int32 = 50

    private let before: termios
    private let queue = DispatchQueue(label: "keys")
    private let source: any DispatchSourceRead

    /// `nil` when this process is not in the terminal's foreground.
    init?(_ press: @Sendable @escaping () -> Void) {
        var before = termios()
        guard Self.isInForeground, tcgetattr(STDIN_FILENO, &before) == 0 else { return nil }
        var keys = before
        // Ctrl-C and Ctrl-Z stay signals; what is typed is not for the screen.
        keys.c_lflag &= ~tcflag_t(ICANON | ECHO)
        // Unsafe here: C's array is a tuple in Swift.
        withUnsafeMutableBytes(of: &keys.c_cc) { characters in
            // A read takes what is there, and never waits.
            characters[Int(VMIN)] = 0
            characters[Int(VTIME)] = 0
        }
        guard tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0 else { return nil }
        let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: queue)
        source.setEventHandler {
            // A terminal that is gone is readable for ever.
            guard let bytes = Self.read() else { return source.cancel() }
            if EscapeKey.isPressed(at: bytes) { press() }
        }
        source.activate()
        (self.before, self.source) = (before, source)
    }

    /// Makes the terminal what it was. In the background it is the shell's, who has done so.
    func restore() {
        source.cancel()
        // Who is reading now is soon done. Later, it would wait for a line.
        queue.sync {}
        guard Self.isInForeground else { return }
        var before = before
        tcsetattr(STDIN_FILENO, TCSANOW, &before)
    }

    private static var isInForeground: Bool { tcgetpgrp(STDIN_FILENO) == getpgrp() }

    /// What came at once; `nil` when nothing will come any more.
    private static func read() -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        var terminal = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        repeat {
            guard isInForeground else { return nil }
            let count = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
            if count <= 0 { return bytes.isEmpty ? nil : bytes }
            bytes = Array(buffer[..<count])
        } while bytes.last == 0x1B && poll(&terminal, 1, sequenceMilliseconds) > 0
        return bytes
    }
}
