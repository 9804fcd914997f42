import FoundationEssentials
import Glibc
import InterruptCore

/// Stops a process, and returns when all of its threads stand still: until one of them has taken the signal, which a busy
/// machine puts off, the others go on.
package func stop(_ pid: Int32) async throws {
    kill(pid, SIGSTOP)
    try await eventually("process \(pid) stands still") {
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").compactMap(Int32.init)
        return threads.allSatisfy { ProcessStatus(of: $0)?.state == "T" }
    }
}
