internal import CLaunch
internal import Glibc
internal import InterruptCore

/// The process that runs a job's command, held by its pidfd: a signal reaches it or nobody, whoever has its number later.
///
/// Unsafe here: a file of `/proc` is read in C's terms, without a `String`, because it is read right before a signal is
/// sent. The descriptor is closed with the last reference.
final class RunLeader: Sendable {
    let pid: pid_t
    private let descriptor: Int32

    /// Takes the pidfd.
    init(pid: pid_t, descriptor: Int32) {
        self.pid = pid
        self.descriptor = descriptor
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether it has exited, asked without waiting.
    var hasExited: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1
    }

    /// What tells it from whoever has its number later; `nil` when it has exited already.
    var identity: ProcessIdentity? {
        let identity = ProcessIdentity(pid: pid)
        return hasExited ? nil : identity
    }

    /// Sends a signal; `false` when it could not be sent. The kernel leaves out the pidfd when this process has no descriptor
    /// free, and then the launcher has to.
    @discardableResult func send(_ signal: Int32) -> Bool { launch_signal(descriptor, signal) == 0 }

    /// Sends SIGKILL to its process group, which in most runs is everybody: whoever else there is hears of it from the
    /// launcher, which has to wake up first.
    func killGroup() { _ = launch_kill_group(descriptor) }

    /// Whether it has a handler of its own for `signal`. Means something only when ``hasExited`` is still false afterwards:
    /// the number is its own until then.
    func handles(_ signal: Int32) -> Bool {
        let file = open("/proc/\(pid)/status", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4_096) { buffer in
            guard let start = buffer.baseAddress else { return false }
            // One read: the kernel makes the file in one piece.
            let count = read(file, start, buffer.count - 1)
            guard count > 0 else { return false }
            buffer[count] = 0
            let label = "\nSigCgt:"
            guard let line = strstr(start, label) else { return false }
            let set = UInt64(strtoull(line + label.utf8.count, nil, 16))  // skips the tab
            return set >> UInt64(signal - 1) & 1 == 1
        }
    }
}
