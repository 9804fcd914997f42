internal import Glibc

/// Tells which Unix signals a process has handlers for. Asked right before the first Unix signal of a run, so its file is
/// opened and its memory taken beforehand, and it is read in C's terms, without a `String`.
struct SignalHandlers: ~Copyable {
    private let descriptor: Int32
    private let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 4_096)

    /// The handlers of `pid`, and of no later process with the same number.
    init(of pid: pid_t) {
        descriptor = open("/proc/\(pid)/status", O_RDONLY | O_CLOEXEC)
    }

    deinit {
        buffer.deallocate()
        if descriptor >= 0 { close(descriptor) }
    }

    /// Whether the process has a handler of its own for `signal`; `false` when it is gone or may not be asked.
    func contains(_ signal: Int32) -> Bool {
        guard let start = buffer.baseAddress else { return false }
        let label = "\nSigCgt:"
        // One read: the kernel makes the file in one piece.
        let count = pread(descriptor, start, buffer.count - 1, 0)
        guard count > 0 else { return false }
        buffer[count] = 0
        guard let line = strstr(start, label) else { return false }
        let set = UInt64(strtoull(line + label.utf8.count, nil, 16))  // skips the tab
        return set >> UInt64(signal - 1) & 1 == 1
    }
}
