internal import Glibc

/// The process group of a run, led by the child itself (it has a session of its own).
///
/// Unsafe here: `kill` takes a number. It means our group only while the leader is not reaped, so
/// ``send(_:)`` must be called before that, which is as long as the body given to swift-subprocess has not returned.
/// Everything else here only looks.
struct ProcessGroup: Sendable {
    /// The leader's pid, which is the group's id.
    let leader: pid_t
    /// The leader's pidfd, borrowed from swift-subprocess: valid as long as its body runs.
    let leaderDescriptor: Int32

    /// Sends `signal` to every process of the group at once. The kernel does it under one lock: a process that is being
    /// forked meanwhile either gets it too or is not made.
    func send(_ signal: Int32) {
        _ = kill(-leader, signal)
    }

    /// Whether the leader has exited, asked without waiting.
    var hasLeaderExited: Bool { isReadable(leaderDescriptor) }

    /// How the leader ended, without reaping it; `nil` while it lives.
    func leaderStatus() -> JobOutcome.WaitStatus? {
        var info = siginfo_t()
        let pidDescriptor = idtype_t(3)  // P_PIDFD, which glibc 2.35 and older does not name
        guard waitid(pidDescriptor, id_t(leaderDescriptor), &info, WEXITED | WNOWAIT | WNOHANG) == 0,
            info.si_signo == SIGCHLD
        else { return nil }
        let status = info._sifields._sigchld.si_status
        return switch Int(info.si_code) {
        case Int(CLD_EXITED): .exited(code: status)
        case Int(CLD_DUMPED): .signalled(signal: status, dumpedCore: true)
        default: .signalled(signal: status, dumpedCore: false)
        }
    }

    /// Whether the group is proven to have no process at all, zombies included. Says "no" as long as the leader is
    /// unreaped; one system call.
    var isProvenEmpty: Bool { kill(-leader, 0) == -1 && errno == ESRCH }

    /// The processes of the group that still run. Costs about 1 µs for each process of the machine.
    func liveMembers() -> [ProcessStatus] {
        ProcessStatus.allProcesses().compactMap { pid in
            guard getpgid(pid) == leader, let status = ProcessStatus(of: pid) else { return nil }
            return status.group == leader && status.isAlive ? status : nil
        }
    }

    /// A descriptor that becomes readable when `pid` exits; `nil` when it has gone already. The caller closes it.
    static func openDescriptor(of pid: pid_t) -> Int32? {
        guard let systemCall else { return nil }
        let descriptor = Int32(truncatingIfNeeded: systemCall(434, Int(pid), 0))  // pidfd_open, the same everywhere
        return descriptor >= 0 ? descriptor : nil
    }

    /// `syscall(2)`, which Swift does not import because it is variadic; on x86-64 and arm64 a call with three integers
    /// is passed the same way. glibc has `pidfd_open` by name only since 2.36.
    private static let systemCall: (@convention(c) (Int, Int, Int) -> Int)? = {
        guard let address = dlsym(nil, "syscall") else { return nil }
        return unsafeBitCast(address, to: (@convention(c) (Int, Int, Int) -> Int).self)
    }()

    private func isReadable(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1
    }
}
