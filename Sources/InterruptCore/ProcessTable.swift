#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What `/proc` tells about the processes that there are. A snapshot: part of it is out of date when it is read.
///
/// One table serves any number of trees: reading it costs about as much as all processes of the machine, and following a
/// tree in it next to nothing.
///
/// Unsafe here: the calls of the system take pointers, to values that live as long as the call.
struct ProcessTable {
    /// One process.
    struct Entry: Hashable {
        var pid: Int32
        var parent: Int32
        /// In clock ticks since the boot. With the pid it tells the process from all others.
        var start: UInt64
        /// Whether it still runs, which a zombie does not.
        var isAlive = true
        /// What it has used itself.
        var ownTime = Duration.zero
        /// What the children that it has waited for had used, with theirs.
        var waitedTime = Duration.zero
        /// Its memory in bytes, shared with others or not.
        var residentMemory = 0
    }

    let entries: [Int32: Entry]

    init(_ entries: [Entry]) {
        self.entries = Dictionary(entries.map { ($0.pid, $0) }) { _, last in last }
    }

    /// Reads the table now.
    static func read() throws(UnreadableResource) -> ProcessTable {
        guard let directory = opendir("/proc") else { throw UnreadableResource("/proc") }
        defer { closedir(directory) }
        var entries: [Entry] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 } }
            guard let pid = Int32(String(decoding: name, as: UTF8.self)) else { continue }
            if let entry = Entry(of: pid) { entries.append(entry) }  // else it has ended meanwhile
        }
        return ProcessTable(entries)
    }
}

extension ProcessTable.Entry {
    /// Reads the entry of `pid` now; `nil` when there is no such process.
    init?(of pid: Int32) {
        guard let text = kernelText(of: "/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else { return nil }
        // The name stands in parentheses and may hold any byte, so the fields are counted from its end.
        let fields = text[text.index(after: close)...].split(separator: " ", maxSplits: 22)
        guard fields.count > 21, let state = fields[0].first, let parent = Int32(fields[1]),
            let start = UInt64(fields[19]), let pages = Int(fields[21])
        else { return nil }
        func time(_ first: Int) -> Duration {
            let ticks = fields[first...first + 1].reduce(0) { $0 + (Int64($1) ?? 0) }
            return .seconds(1) * ticks / Int(sysconf(Int32(_SC_CLK_TCK)))
        }
        self.init(
            pid: pid,
            parent: parent,
            start: start,
            isAlive: state != "Z" && state != "X",
            ownTime: time(11),
            waitedTime: time(13),
            residentMemory: pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        )
    }

    /// Its memory with its part of what it shares; all of it, where the kernel does not tell. Reading it takes the longer
    /// the more memory the process has.
    var proportionalMemory: Int {
        let lines = kernelText(of: "/proc/\(pid)/smaps_rollup")?.split(separator: "\n") ?? []
        let fields = lines.first { $0.hasPrefix("Pss:") }?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 1_024 : residentMemory
    }
}

/// The first 4 KiB of a file that the kernel makes in one piece; `nil` when it cannot be read.
private func kernelText(of path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = read(file, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
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
