import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whose use of memory, CPU time and processes counts.
public enum ResourceSubject: Hashable, Sendable {
    /// This process, without its children.
    case thisProcess
    /// The process with this pid and everything below it.
    case processTree(Int32)
}

extension InterruptChecker {
    /// Interrupts with reason `resource_limit` when more is used than `limits` allow, with a message such as "Memory usage
    /// 1204MB exceeds limit 1000MB".
    ///
    ///     scope.setChecker(.resourceLimits(ResourceLimits(memory: 1000 << 20, cpuTime: .seconds(600))))
    ///
    /// Usage is sampled, so what is used between two samples is missed. Memory is what `/proc` calls resident; only when
    /// that is too much in sum is it asked, for a second opinion, what the processes share. CPU time counts from this
    /// call on; that of a process which ended without anybody in the tree waiting for it is lost. Processes below are
    /// those that were there at one sample at least, and stay in the tree when their parents are gone. A tree that has
    /// ended exceeds nothing.
    ///
    /// A checker remembers what it has found: make one for each scope. A sample of a tree reads the state of all processes
    /// of the machine: some 40 µs each in a debug build.
    ///
    /// - `subject`: whose memory, CPU time and processes count. One that is not there makes the checker fail.
    /// - `interval`: the time between two samples.
    public static func resourceLimits(
        _ limits: ResourceLimits,
        of subject: ResourceSubject = .thisProcess,
        every interval: Duration = defaultInterval
    ) -> InterruptChecker {
        let monitor = ResourceMonitor(limits, of: subject)
        let name =
            switch subject {
            case .thisProcess: "resource limits"
            case .processTree(let pid): "resource limits of process \(pid)"
            }
        return InterruptChecker(name, every: interval) { () throws -> InterruptSignal? in try monitor.sample() }
    }
}

/// Compares what is used with the limits, each time it is asked.
private final class ResourceMonitor: Sendable {
    private struct State {
        var tree: ProcessTree?
        /// What the subject had used when the monitor was made; then the most that it has used since.
        var timeBefore = Duration.zero
        var cpuTime = Duration.zero
        /// Says the same at every sample from the first excess on: a message with other numbers would be another interrupt.
        var found: InterruptSignal?
    }

    private let limits: ResourceLimits
    private let subject: ResourceSubject
    private let state: Mutex<State>

    init(_ limits: ResourceLimits, of subject: ResourceSubject) {
        (self.limits, self.subject) = (limits, subject)
        var state = State()
        if case .processTree(let pid) = subject { state.tree = ProcessTable.Entry(of: pid).map(ProcessTree.init) }
        // What cannot be read now is said by the first sample.
        state.timeBefore = (try? Self.processes(of: subject, &state))?.time(of: subject) ?? .zero
        self.state = Mutex(state)
    }

    func sample() throws -> InterruptSignal? {
        let output = try limits.output.map { try outputSize(at: $0.path) } ?? 0
        return try state.withLock { state in
            if let found = state.found { return found }
            let processes = try Self.processes(of: subject, &state)
            state.cpuTime = max(state.cpuTime, processes.time(of: subject) - state.timeBefore)
            var usage = ResourceUsage(
                cpuTime: state.cpuTime,
                processes: processes.count(where: \.isAlive),
                output: output
            )
            usage.memory = processes.reduce(0) { $0 + $1.residentMemory }
            if let limit = limits.memory, usage.memory > limit {
                usage.memory = processes.reduce(0) { $0 + $1.proportionalMemory }
            }
            guard let message = limits.excess(of: usage) else { return nil }
            state.found = InterruptSignal(
                reason: .resourceLimit,
                message: message,
                triggeredBy: "resource_monitor",
                source: .limit
            )
            return state.found
        }
    }

    private static func processes(
        of subject: ResourceSubject,
        _ state: inout State
    ) throws(UnreadableResource) -> [ProcessTable.Entry] {
        switch subject {
        case .thisProcess:
            guard let entry = ProcessTable.Entry(of: getpid()) else {
                throw UnreadableResource("/proc/\(getpid())/stat")
            }
            return [entry]
        case .processTree(let pid):
            guard state.tree != nil else { throw UnreadableResource(description: "there is no process \(pid)") }
            return state.tree?.follow(try ProcessTable.read()) ?? []
        }
    }
}

extension [ProcessTable.Entry] {
    /// What they have used together.
    fileprivate func time(of subject: ResourceSubject) -> Duration {
        reduce(.zero) { $0 + $1.ownTime + (subject == .thisProcess ? .zero : $1.waitedTime) }
    }
}
