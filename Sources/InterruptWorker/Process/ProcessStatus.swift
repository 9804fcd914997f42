internal import Glibc

/// What `/proc` tells about one process. Every answer is a snapshot and may be out of date when it arrives.
///
/// Unsafe here: a pid may be reused between two reads, so nothing is ever signalled because of an answer of this type.
struct ProcessStatus {
    /// The process id.
    let pid: pid_t
    /// The program's short name, as the kernel has it.
    let name: String
    /// The kernel's letter: `R`, `S`, `D`, `T`, `Z`, …
    let state: Character
    /// The process that started it, or took it over.
    let parent: pid_t
    /// Its process group.
    let group: pid_t
    /// When it started, in clock ticks since the boot.
    let start: UInt64

    /// Reads the status of `pid`; `nil` when there is no such process.
    init?(of pid: pid_t) {
        guard let text = Self.read("/proc/\(pid)/stat", limit: 1_024) else { return nil }
        // The name stands in parentheses and may hold any byte, so the fields are counted from the last one.
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ", maxSplits: 20)
        guard fields.count > 19, let state = fields[0].first, let group = pid_t(fields[2]),
            let parent = pid_t(fields[1]), let start = UInt64(fields[19])
        else { return nil }
        self.pid = pid
        self.name = String(text[text.index(after: open)..<close])
        self.state = state
        self.parent = parent
        self.group = group
        self.start = start
    }

    /// Whether it still runs, which a zombie does not.
    var isAlive: Bool { state != "Z" && state != "X" }

    /// The user it really is, by which the kernel decides who may signal it.
    var user: uid_t? {
        let lines = Self.read("/proc/\(pid)/status", limit: 4_096)?.split(separator: "\n") ?? []
        let fields = lines.first { $0.hasPrefix("Uid:") }?.split(separator: "\t") ?? []
        return fields.count > 1 ? uid_t(fields[1]) : nil
    }

    /// Where in the kernel it waits, `nil` when it does not or the kernel does not say.
    var waitChannel: String? {
        guard let text = Self.read("/proc/\(pid)/wchan", limit: 256), text != "0", !text.isEmpty else { return nil }
        return text
    }

    /// The variables that `pid` was started with; empty when they may not be read. The first 128 KiB of them.
    static func environment(of pid: pid_t) -> Set<String> {
        let descriptor = open("/proc/\(pid)/environ", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 128 * 1_024)
        var count = 0
        while count < bytes.count {
            let more = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress! + count, $0.count - count)
            }
            if more <= 0 { break }
            count += more
        }
        return Set(bytes[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
    }

    /// The ids of all processes that `/proc` shows.
    static func allProcesses() -> [pid_t] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var result: [pid_t] = []
        while let entry = readdir(directory) {
            let isDigit = UInt8(bitPattern: entry.pointee.d_name.0) &- UInt8(ascii: "0") <= 9
            guard isDigit else { continue }
            let pid = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { atoi($0) }
            }
            result.append(pid)
        }
        return result
    }

    static func read(_ path: String, limit: Int) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: limit + 1) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            // Most of these files come in one piece; long lists do not.
            var count = 0
            while count < limit {
                let more = Glibc.read(descriptor, start + count, limit - count)
                if more <= 0 { break }
                count += more
            }
            guard count > 0 else { return nil }
            buffer[count] = 0
            return String(cString: start)
        }
    }
}
