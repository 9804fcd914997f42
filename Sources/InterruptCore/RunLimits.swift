/// How much a command and everything below it may use before it is interrupted with reason `resource_limit`. What is `nil`
/// has no limit.
public struct RunLimits: Hashable, Sendable {
    /// The most memory in use at a time, in bytes.
    public var memory: Int64?
    /// The most CPU time, of all processors together.
    public var cpuTime: Duration?
    /// The most processes at a time.
    public var processes: Int?
    /// The most that may be written to standard output and standard error together, in bytes.
    public var output: Int64?

    /// Limits; none, if nothing is said.
    public init(memory: Int64? = nil, cpuTime: Duration? = nil, processes: Int? = nil, output: Int64? = nil) {
        (self.memory, self.cpuTime, self.processes, self.output) = (memory, cpuTime, processes, output)
    }
}
