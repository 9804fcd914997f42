internal import CLaunch
import Glibc
public import InterruptCore

/// The session of a run whose worker is dead: nobody holds the leader unreaped any more, so numbers alone mean nothing.
///
/// Unsafe here: a member is signalled through a descriptor that was opened before its session and start were checked, so
/// whoever has its number later is not meant.
struct ProcessSession {
    /// The leader, whose pid is the session's id.
    let leader: ProcessIdentity

    /// The processes of the session that still run. A process that started before the leader belongs to another one
    /// that had the same number. The kernel gives a number to nobody else while a session is left that has it, so a
    /// process with the leader's number and another start proves that our session is gone.
    func members() -> [pid_t] { isThere ? ProcessStatus.allProcesses().filter(isMember) : [] }

    private var isThere: Bool {
        leader.boot == ProcessIdentity.currentBoot
            && ProcessStatus(of: leader.pid).map { $0.start == leader.start } ?? true
    }

    private func isMember(_ pid: pid_t) -> Bool {
        guard getsid(pid) == leader.pid, let status = ProcessStatus(of: pid), status.isAlive else { return false }
        return status.start >= leader.start
    }

    /// Kills every member that is there now.
    func kill() {
        for pid in members() {
            guard let descriptor = Self.openDescriptor(of: pid) else { continue }
            defer { close(descriptor) }
            if isThere, isMember(pid) { _ = launch_signal(descriptor, SIGKILL) }
        }
    }

    /// The sessions of processes that carry the run's id in their environment: for a run whose worker died before it had
    /// recorded the leader.
    static func carrying(_ run: RunID) -> [ProcessSession] {
        let variable = "INTERRUPT_RUN=\(run)"
        var leaders: [pid_t: ProcessIdentity] = [:]
        for pid in ProcessStatus.allProcesses() where ProcessStatus.environment(of: pid).contains(variable) {
            let session = getsid(pid)
            guard session > 0, session != getsid(0) else { continue }
            // Without its leader the session is known by the oldest process that was found of it.
            guard let found = ProcessIdentity(pid: session) ?? ProcessIdentity(pid: pid) else { continue }
            let start = min(found.start, leaders[session]?.start ?? .max)
            leaders[session] = ProcessIdentity(boot: found.boot, pid: session, start: start)
        }
        return leaders.values.map(ProcessSession.init)
    }

    /// Waits until the process has exited that has this number now.
    static func exit(of pid: pid_t, before deadline: ContinuousClock.Instant) async {
        guard let descriptor = openDescriptor(of: pid) else { return }
        defer { close(descriptor) }
        await DescriptorWatch(descriptor).readable(before: deadline)
    }

    /// A descriptor that becomes readable when `pid` exits; `nil` when it has gone already. The caller closes it.
    static func openDescriptor(of pid: pid_t) -> Int32? {
        let descriptor = launch_open_process(pid)
        return descriptor >= 0 ? descriptor : nil
    }
}

extension ProcessIdentity {
    /// The boot and the process namespace of this process; a pid means something only there.
    static let currentBoot: String = {
        let boot = kernelText(of: "/proc/sys/kernel/random/boot_id", limit: 64) ?? ""
        var link = [UInt8](repeating: 0, count: 64)
        let count = readlink("/proc/self/ns/pid", &link, link.count)
        return boot.prefix { $0 != "\n" } + "/" + String(decoding: link.prefix(max(0, count)), as: UTF8.self)
    }()

    /// The identity of a process that runs now; `nil` when there is none.
    public init?(pid: Int32) {
        guard let status = ProcessStatus(of: pid) else { return nil }
        self.init(boot: Self.currentBoot, pid: pid, start: status.start)
    }

    /// Whether it is certain that the process is gone. What lives in another boot or namespace cannot be seen from here.
    ///
    /// - Parameter isThisMachine: the process is known to belong to this machine, so that another boot is a proof.
    func isProvenDead(isThisMachine: Bool) -> Bool {
        let kernel = boot.prefix { $0 != "/" }
        if isThisMachine, kernel != Self.currentBoot.prefix(while: { $0 != "/" }) { return true }
        guard boot == Self.currentBoot else { return false }
        guard let status = ProcessStatus(of: pid), status.isAlive else { return true }
        return status.start != start
    }
}
