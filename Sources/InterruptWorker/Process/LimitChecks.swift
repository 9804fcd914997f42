internal import InterruptCore

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
