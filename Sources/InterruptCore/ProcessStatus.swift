#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What `/proc` tells about one process. Every answer is a snapshot and may be out of date when it arrives.
///
/// Unsafe here: a pid may be reused between two reads, so nothing is ever signalled because of an answer of this type. The
/// system's calls take pointers, to values that live as long as the call.
package struct ProcessStatus: Hashable, Sendable {
    package let pid: Int32
    /// The program's short name, as the kernel has it.
    package var name = ""
    /// The kernel's letter for its main thread: `R`, `S`, `D`, `T`, `Z`, …
    package var state: Character = "S"
    /// How many threads it has.
    package var threads = 1
    /// The process that started it, or took it over.
    package var parent: Int32
    /// Its process group.
    package var group: Int32 = 0
    /// When it started, in clock ticks since the boot. With the pid it tells the process from all others.
    package var start: UInt64
    /// What it has used itself.
    var ownTime = Duration.zero
    /// What the children that it has waited for had used, with theirs.
    var waitedTime = Duration.zero
    /// Its memory in bytes, shared with others or not.
    var residentMemory = 0

    /// Whether it still runs, which a zombie does not; but where only the main thread has ended, the others go on.
    package var isAlive: Bool { state == "Z" ? threads > 1 : state != "X" }
}

extension ProcessStatus {
    /// Reads the status of `pid`; `nil` when there is no such process.
    package init?(of pid: Int32) {
        guard let text = kernelText(of: "/proc/\(pid)/stat") else { return nil }
        self.init(pid: pid, stat: text)
    }

    /// - Parameter stat: what the file of that name has.
    init?(pid: Int32, stat: String) {
        // The name stands in parentheses and may hold any byte, so the fields are counted from its end.
        guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")"), open < close else { return nil }
        let fields = stat[stat.index(after: close)...].split(separator: " ", maxSplits: 22)
        guard fields.count > 21, let state = fields[0].first, let parent = Int32(fields[1]),
            let group = Int32(fields[2]), let threads = Int(fields[17]), let start = UInt64(fields[19]),
            let pages = Int(fields[21])
        else { return nil }
        func time(_ first: Int) -> Duration {
            let ticks = fields[first...first + 1].reduce(0) { $0 + (Int64($1) ?? 0) }
            return .seconds(1) * ticks / Int(sysconf(Int32(_SC_CLK_TCK)))
        }
        self.init(
            pid: pid,
            name: String(stat[stat.index(after: open)..<close]),
            state: state,
            threads: threads,
            parent: parent,
            group: group,
            start: start,
            ownTime: time(11),
            waitedTime: time(13),
            residentMemory: pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        )
    }

    /// The ids of all processes that `/proc` shows; none where it cannot be read.
    package static func allProcesses() -> [Int32] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var pids: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 } }
            if let pid = Int32(String(decoding: name, as: UTF8.self)) { pids.append(pid) }
        }
        return pids
    }

    /// Its memory with its part of what it shares; all of it, where the kernel does not tell. Reading it takes the longer
    /// the more memory the process has.
    var proportionalMemory: Int {
        let lines = kernelText(of: "/proc/\(pid)/smaps_rollup")?.split(separator: "\n") ?? []
        let fields = lines.first { $0.hasPrefix("Pss:") }?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 1_024 : residentMemory
    }
}
