internal import Glibc
internal import InterruptCore

/// What more can be asked about a process.
///
/// Unsafe here: the environment is read into memory in C's terms.
extension ProcessStatus {
    /// The user it really is, by which the kernel decides who may signal it.
    var user: uid_t? {
        let lines = kernelText(of: "/proc/\(pid)/status")?.split(separator: "\n") ?? []
        let fields = lines.first { $0.hasPrefix("Uid:") }?.split(separator: "\t") ?? []
        return fields.count > 1 ? uid_t(fields[1]) : nil
    }

    /// Where in the kernel it waits, `nil` when it does not or the kernel does not say.
    var waitChannel: String? {
        guard let text = kernelText(of: "/proc/\(pid)/wchan", limit: 256), text != "0" else { return nil }
        return text
    }

    /// The variables that `pid` was started with; empty when they may not be read. The first 128 KiB of them.
    static func environment(of pid: pid_t) -> Set<String> {
        let text = kernelText(of: "/proc/\(pid)/environ", limit: 128 * 1_024) ?? ""
        return Set(text.utf8.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
    }
}
