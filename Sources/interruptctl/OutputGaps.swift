import Glibc
import InterruptCore
import InterruptRedis

/// Counts what is missing of a run's output. Pieces of both streams come from one file, so their offsets tell.
struct OutputGaps {
    private var end: Int64 = 0
    private var missing: Int64 = 0

    /// Takes in a piece that was copied.
    mutating func copied(_ chunk: OutputChunk) {
        missing += max(0, chunk.offset - end)
        end = max(end, chunk.offset + Int64(chunk.bytes.count))
    }

    /// What is missing, given the run's record: at the end, too, if it has ended.
    func missing(of record: RunRecord?) -> Int64 { missing + max(0, (record?.outputBytes ?? 0) - end) }

    /// The one line about it, with the place that has everything; `nil` when nothing is missing.
    ///
    /// - Parameter host: of the worker, if it is known.
    func summary(of record: RunRecord?, host: String? = nil, on screen: Screen) -> String? {
        let count = missing(of: record)
        if count == 0 { return nil }
        let worker = record?.worker.map { "worker '\(screen.shown($0))'" } ?? "the worker"
        let place: String? =
            if let file = record?.outputFile {
                Self.place(of: file, from: record?.outputKeptFrom ?? 0, host: host, worker, on: screen)
            } else if record?.state.isEnd == false {
                "the run's file on \(worker) has what is kept"
            } else {
                nil  // no file was kept, or nobody knows any more
            }
        return "\(screen.ellipsis) \(count) bytes of the output left out" + (place.map { ": \($0)" } ?? "")
    }

    /// The same, with the worker's host, as long as that is on record.
    func summary(of record: RunRecord, asking client: InterruptClient, on screen: Screen) async -> String? {
        guard missing(of: record) > 0 else { return nil }
        let host = try? await client.worker(record.worker ?? "")?.host  // of help, but the worker may be gone
        return summary(of: record, host: host, on: screen)
    }

    /// Where the output is: all of it, what rotation has left of it, or nothing any more where that can be seen.
    private static func place(
        of file: String,
        from start: Int64,
        host: String?,
        _ worker: String,
        on screen: Screen
    ) -> String {
        let path = (host.map { "\(screen.shown($0)):" } ?? "") + screen.shown(file, limit: 1_000)
        // Only of a file on this machine it can be said.
        if let host, host == LocalHost.name, access(file, F_OK) != 0, errno == ENOENT {
            return "\(path) on \(worker) has been removed"
        }
        if start == 0 { return "\(path) on \(worker) has everything" }
        return "\(path) on \(worker) and the one before, with .1 at the end, have what is from byte \(start) on"
    }
}
