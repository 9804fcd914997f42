import InterruptCore
import InterruptRedis
import Synchronization

/// From the request to the verified end of jobs that print nothing, and of jobs that print all the time.
enum Silence {
    static let count = 200

    static func run() async throws {
        let ends = AsyncStream.makeStream(of: UInt64.self)
        var times = [Sample(), Sample()]
        let commands = [["sleep", "1000"], ["sh", "-c", "while :; do echo line; done"]]
        try await withWorker(
            slots: 1,
            report: { if case .ended = $0 { ends.continuation.yield(monotonicNanoseconds()) } }
        ) { client, _ in
            var ended = ends.stream.makeAsyncIterator()
            for number in 0..<2 * count {
                let submission = Submission(
                    job: try Name("job-\(number)"),
                    queue: try Name("default"),
                    command: commands[number % 2].map { Array($0.utf8) }
                )
                guard case .queued(let run) = try await client.submit(submission) else { continue }
                while try await client.record(of: run)?.pid == nil { try await Task.sleep(for: .milliseconds(2)) }
                try await Task.sleep(for: .milliseconds(20))
                let asked = monotonicNanoseconds()
                _ = try await client.interrupt([.run(run)], InterruptSignal(source: .remote))
                if let end = await ended.next() { times[number % 2].add(end - asked) }
            }
        }
        print(times[0].line("request to the end of a silent job"))
        print(times[1].line("request to the end of one that prints"))
    }
}
