/// How much work may use before it is interrupted. What is `nil` has no limit.
///
/// See ``InterruptChecker/resourceLimits(_:of:every:)``.
public struct ResourceLimits: Hashable, Sendable {
    /// How much may be written.
    public struct Output: Hashable, Sendable {
        /// The file that counts, or the directory of which all files count, also those in directories below.
        public var path: String
        /// The most bytes; for a directory, of all its files together.
        public var bytes: Int

        /// A limit of so many bytes in the file or directory at `path`, which need not be there yet.
        public init(at path: String, bytes: Int) { (self.path, self.bytes) = (path, bytes) }
    }

    /// The most memory in use at a time, in bytes. What several processes share counts once where the kernel tells.
    public var memory: Int?
    /// The most CPU time, of all processors together.
    public var cpuTime: Duration?
    /// The most processes at a time.
    public var processes: Int?
    /// The most that may be written.
    public var output: Output?

    /// Limits; none, if nothing is said.
    public init(memory: Int? = nil, cpuTime: Duration? = nil, processes: Int? = nil, output: Output? = nil) {
        (self.memory, self.cpuTime, self.processes, self.output) = (memory, cpuTime, processes, output)
    }
}

/// What work uses.
struct ResourceUsage: Hashable {
    var memory = 0
    var cpuTime = Duration.zero
    var processes = 0
    var output = 0
}

extension ResourceLimits {
    /// A sentence about the first limit that is exceeded; `nil` when none is.
    func excess(of usage: ResourceUsage) -> String? {
        if let memory, usage.memory > memory {
            return "Memory usage \(usage.memory.megabytesText(against: memory))"
        }
        if let cpuTime, usage.cpuTime > cpuTime {
            return "CPU time \(usage.cpuTime.secondsText)s exceeds limit \(cpuTime.secondsText)s"
        }
        if let processes, usage.processes > processes {
            return "Process count \(usage.processes) exceeds limit \(processes)"
        }
        if let output, usage.output > output.bytes {
            return "Output size \(usage.output.megabytesText(against: output.bytes))"
        }
        return nil
    }
}

extension Int {
    /// Both in MB of 1,048,576 bytes: whole ones, or, where the limit is none, with three decimals at most. The usage is
    /// rounded up, so that it never reads as the limit that it exceeds.
    fileprivate func megabytesText(against limit: Int) -> String {
        let megabyte = 1_048_576
        let parts = limit.isMultiple(of: megabyte) ? 1 : 1_000
        func text(_ value: Int, _ rounding: FloatingPointRoundingRule) -> String {
            let count = (Double(value) * Double(parts) / Double(megabyte)).rounded(rounding)
            return Duration.milliseconds(Int64(count) * Int64(1_000 / parts)).secondsText
        }
        return "\(text(self, .up))MB exceeds limit \(text(limit, .down))MB"
    }
}
