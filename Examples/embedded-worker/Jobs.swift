import InterruptCore
import InterruptWorker
import SystemPackage

/// The functions that can be submitted.
enum Jobs {
    /// The input of `count`.
    struct Count: Decodable {
        var to: Int
        var pause_ms: Int
    }

    static var registry: JobRegistry {
        get throws {
            var jobs = JobRegistry()

            // Says how far it is, and stops where it says so or while it waits.
            try jobs.register("count", decoding: Count.self) { count, scope in
                for number in 0..<count.to {
                    try scope.report(progress: Double(number) / Double(count.to), "at \(number)")
                    try await scope.sleep(for: .milliseconds(count.pause_ms))
                }
                try scope.report(progress: 1, "at \(count.to)")
            }

            // Blocks its thread until the file has come to its end, which may be never: of a pipe, for instance. Nothing
            // can interrupt it before that; the worker and its other jobs do not notice.
            try jobs.register("read") { path, scope in
                let size = try readToEnd(path)
                try scope.report(progress: 1, "\(size) bytes")
            }

            // The same, but it says beforehand that it cannot stop, and what it is doing.
            try jobs.register("load") { path, scope in
                try scope.checkpoint("before the model")
                let size = try await scope.uninterruptible("load the model") { try readToEnd(path) }
                try scope.report(progress: 0.5, "\(size) bytes loaded")
                try await scope.sleep(for: .seconds(3_600))  // as if it were used
            }
            return jobs
        }
    }

    /// Reads a file and returns its size, and blocks its thread meanwhile.
    private static func readToEnd(_ path: String) throws -> Int {
        let file = try FileDescriptor.open(path, .readOnly)
        return try file.closeAfter {
            var size = 0
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
            defer { buffer.deallocate() }
            while case let count = try file.read(into: buffer), count > 0 { size += count }
            return size
        }
    }
}
