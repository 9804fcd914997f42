internal import CLaunch
internal import InterruptCore

/// The limits of a run as walls that the kernel keeps, a tenth above what is asked for: who comes there slowly is asked
/// to end first, and the message has the numbers; who comes there within a second goes no further.
extension RunLimits {
    /// What is written into the files of the run's cgroup.
    func settings(in containment: Containment) -> [(file: String, value: String)] {
        guard case .cgroup(_, let kernel) = containment else { return [] }
        var settings: [(String, String)] = []
        if let memory, kernel.contains(.memory) {
            // From here on it gets more only slowly, so that it is asked to end before it comes to the wall.
            settings.append(("memory.high", "\(memory)"))
            settings.append(("memory.max", "\(memory + max(memory / 10, 16 << 20))"))
            // All of it, not what happens to be the largest: a job without one of its processes is of no use.
            settings.append(("memory.oom.group", "1"))
        }
        if let processes, kernel.contains(.processes) {
            settings.append(("pids.max", "\(processes + max(processes / 10, 8))"))
        }
        return settings
    }
}

extension KernelLimit {
    /// As `interrupt-launch` tells them.
    static func all(in bits: Int32) -> Set<KernelLimit> {
        var all: Set<KernelLimit> = []
        if UInt32(bitPattern: bits) & LAUNCH_LIMIT_MEMORY.rawValue != 0 { all.insert(.memory) }
        if UInt32(bitPattern: bits) & LAUNCH_LIMIT_PROCESSES.rawValue != 0 { all.insert(.processes) }
        return all
    }
}

/// The limits of a run as checkers of its scope. A run without limits has none, and costs nothing.
extension InterruptScope {
    /// Samples what `subject` uses once a second, from now on.
    func enforce(_ limits: RunLimits, on subject: ResourceSubject) {
        let resources = ResourceLimits(
            memory: limits.memory.map { Int($0) },
            cpuTime: limits.cpuTime,
            processes: limits.processes
        )
        if resources != ResourceLimits() { setChecker(.resourceLimits(resources, of: subject)) }
    }

    /// Asks once a second how many bytes were written, from now on.
    func enforce(_ limits: RunLimits, onOutput written: @escaping @Sendable () -> Int64) {
        if let limit = limits.output { setChecker(.outputLimit(limit, written: written)) }
    }
}
