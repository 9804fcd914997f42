import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting

/// What a job that floods costs: itself, the worker, and Redis.
///
/// The job is `head -c` of zeros; its limit is the same command into a file, measured in the same run.
enum Output {
    private static let size = 2_000_000_000

    static func run() async throws {
        try await withWorker(slots: 1) { client, redis in
            let direct = "\(redis.directory)/direct"
            let own = try await seconds(
                of: ["sh", "-c", "head -c \(size) /dev/zero > \(direct)"],
                as: "direct",
                client
            )
            unlink(direct)
            let before = try resident(getpid())
            let flood = try await seconds(of: ["head", "-c", "\(size)", "/dev/zero"], as: "flood", client)
            let after = try resident(getpid())
            print("2 GB straight into a file                    \(rate(own)) MB/s")
            print("2 GB as output of a run                      \(rate(flood)) MB/s")
            print("resident memory of the worker                \(before / 1_024) kB, then \(after / 1_024) kB")
            guard let record = try await client.newestRun(of: Name("flood")) else {
                throw WrongResult(description: "the flood has no record")
            }
            let tail = try await redis.command("MEMORY", "USAGE", "interrupt/output/\(record.run)").integer ?? 0
            print("its tail in Redis                            \(tail / 1_024) kB")
        }
    }

    private static func seconds(
        of command: [String],
        as job: String,
        _ client: InterruptClient
    ) async throws -> Double {
        let start = monotonicNanoseconds()
        _ = try await client.submit(
            Submission(job: Name(job), queue: Name("default"), command: command.map { Array($0.utf8) })
        )
        let record = try await client.ending(of: Name(job))
        guard record.state == .completed else { throw WrongResult(description: "\(job) is \(record.state)") }
        return Double(monotonicNanoseconds() - start) / 1e9
    }

    private static func rate(_ seconds: Double) -> String { rounded(Double(size) / 1e6 / seconds) }

    /// In bytes.
    private static func resident(_ pid: Int32) throws -> Int {
        guard let file = fopen("/proc/\(pid)/statm", "r") else { throw WrongResult(description: "no /proc") }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        fgets(&line, 256, file)
        let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).split(
            separator: " "
        )
        return (Int(words[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
