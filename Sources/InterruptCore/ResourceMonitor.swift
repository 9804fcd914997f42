import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whose use of memory, CPU time and processes counts.
public enum ResourceSubject: Sendable {
    /// This process, without its children.
    case thisProcess
    /// The process with this pid and everything below it.
    case processTree(Int32)
    /// The processes with the pids that the closure gives, each time it is asked: those of a cgroup, for instance. `name`
    /// is what events call them.
    case members(name: String, @Sendable () throws -> [Int32])

    /// What events call it.
    fileprivate var checkerName: String {
        switch self {
        case .thisProcess: "resource limits"
        case .processTree(let pid): "resource limits of process \(pid)"
        case .members(let name, _): "resource limits of \(name)"
        }
    }

    /// Whether what its processes have waited for belongs to it, too.
    fileprivate var includesChildren: Bool { if case .thisProcess = self { false } else { true } }
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
        return InterruptChecker(subject.checkerName, every: interval) { () throws -> InterruptSignal? in
            try monitor.sample()
        }
    }
}

extension InterruptChecker {
    /// Interrupts with reason `resource_limit` when more was written than `limit` bytes, such as "Output size 12MB exceeds
    /// limit 10MB".
    ///
    /// - `written`: how many bytes were written so far; asked at each sample.
    package static func outputLimit(
        _ limit: Int64,
        every interval: Duration = defaultInterval,
        written: @escaping @Sendable () -> Int64
    ) -> InterruptChecker {
        let limits = ResourceLimits(output: .init(at: "", bytes: Int(limit)))
        let found = Mutex<InterruptSignal?>(nil)
        return InterruptChecker("output limit", every: interval) { () async -> InterruptSignal? in
            found.withLock { found in
                found = found ?? limits.excess(of: ResourceUsage(output: Int(written()))).map(InterruptSignal.excess)
                return found
            }
        }
    }
}

extension InterruptSignal {
    /// What a limit that is exceeded means.
    fileprivate static func excess(_ message: String) -> InterruptSignal {
        InterruptSignal(reason: .resourceLimit, message: message, triggeredBy: "resource_monitor", source: .limit)
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
        if case .processTree(let pid) = subject { state.tree = ProcessStatus(of: pid).map(ProcessTree.init) }
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
            state.found = limits.excess(of: usage).map(InterruptSignal.excess)
            return state.found
        }
    }

    private static func processes(
        of subject: ResourceSubject,
        _ state: inout State
    ) throws -> [ProcessStatus] {
        switch subject {
        case .thisProcess:
            guard let entry = ProcessStatus(of: getpid()) else {
                throw UnreadableResource("/proc/\(getpid())/stat")
            }
            return [entry]
        case .processTree(let pid):
            guard state.tree != nil else { throw UnreadableResource(description: "there is no process \(pid)") }
            return state.tree?.follow(try ProcessTable.read()) ?? []
        case .members(_, let pids): return try pids().compactMap(ProcessStatus.init(of:))
        }
    }
}

extension [ProcessStatus] {
    /// What they have used together.
    fileprivate func time(of subject: ResourceSubject) -> Duration {
        reduce(.zero) { $0 + $1.ownTime + (subject.includesChildren ? $1.waitedTime : .zero) }
    }
}
