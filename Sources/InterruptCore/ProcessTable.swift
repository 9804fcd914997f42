#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The status of all processes that there are. A snapshot: part of it is out of date when it is read.
///
/// One table serves any number of trees: reading it costs about as much as all processes of the machine, and following a
/// tree in it next to nothing.
struct ProcessTable {
    let entries: [Int32: ProcessStatus]

    init(_ entries: [ProcessStatus]) {
        self.entries = Dictionary(entries.map { ($0.pid, $0) }) { _, last in last }
    }

    /// Reads the table now.
    static func read() throws(UnreadableResource) -> ProcessTable {
        let pids = ProcessStatus.allProcesses()
        if pids.isEmpty { throw UnreadableResource("/proc") }
        return ProcessTable(pids.compactMap(ProcessStatus.init(of:)))  // who is not found has ended meanwhile
    }
}

/// Why it is not known how much is used.
struct UnreadableResource: Error, CustomStringConvertible {
    let description: String

    /// What `errno` says about reading `path`.
    init(_ path: String) {
        description = "cannot read '\(path.escapedForDisplay())': \(String(cString: strerror(errno)))"
    }

    init(description: String) { self.description = description }
}
