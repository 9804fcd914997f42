import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Synchronization

/// From the request to SIGTERM in the job, against a bare PUBLISH to a bare subscriber on the same Redis.
enum Latency {
    static let count = 300

    static func run() async throws {
        guard let program = readlink("/proc/self/exe") else { return }
        var bare = Sample()
        var delivered = Sample()
        var recorded = Sample()
        try await withWorker(slots: 2) { client, redis in
            let publisher = try await RedisConnection.connect(to: redis.endpoint)
            let subscriber = try await RedisConnection.connect(to: redis.endpoint)
            let (arrivals, arrival) = AsyncStream.makeStream(of: UInt64.self)
            try await subscriber.subscribe(["bare"]) { _ in arrival.yield(monotonicNanoseconds()) }
            var iterator = arrivals.makeAsyncIterator()
            // Each is measured in every other round, at the same moment: right after a process was started.
            for number in 0..<2 * count {
                let job = try Name("latency-\(number)")
                let queue = try Name("default")
                let submission = Submission(
                    job: job,
                    queue: queue,
                    command: [Array(program.utf8), Array("await-sigterm".utf8), Array("1".utf8)]
                )
                guard case .queued(let run) = try await client.submit(submission) else { continue }
                var last = "0"
                var text = ""
                while !text.contains("ready\n") { text += try await output(client, run, &last) }
                let isBare = number.isMultiple(of: 2)
                if isBare {
                    let sent = monotonicNanoseconds()
                    _ = try await publisher.send(RedisCommand("PUBLISH", "bare", "x"))
                    if let arrived = await iterator.next() { bare.add(arrived - sent) }
                }
                let asked = monotonicNanoseconds()
                _ = try await client.interrupt([.run(run)], InterruptSignal(source: .remote))
                if !isBare { recorded.add(monotonicNanoseconds() - asked) }
                text = ""
                while !text.contains("\n") { text += try await output(client, run, &last) }
                if !isBare, let arrived = UInt64(text.split(separator: "\n").first ?? "") {
                    delivered.add(arrived - asked)
                }
                _ = try await client.ending(of: job)
            }
        }
        print(bare.line("bare PUBLISH to subscriber"))
        print(recorded.line("request recorded (one script)"))
        print(delivered.line("request to SIGTERM in the job"))
        print("ratio of the medians: \(rounded(delivered.percentile(50) / bare.percentile(50)))")
    }

    private static func output(_ client: InterruptClient, _ run: RunID, _ last: inout String) async throws -> String {
        var text = ""
        for (id, entry) in try await client.output(of: run, after: last, waiting: .milliseconds(500)) {
            last = id
            if case .chunk(let chunk) = entry { text += String(decoding: chunk.bytes, as: UTF8.self) }
        }
        return text
    }

    private static func readlink(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = Glibc.readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }
}
