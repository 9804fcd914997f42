import InterruptCore
import InterruptRedis
import Synchronization

/// 2,000 short commands, eight at a time: no lost run, no double run, the right outcome for each.
enum Throughput {
    static let count = 2_000

    static func run() async throws {
        let starts = Mutex<[RunID: Int]>([:])
        var wrong = 0
        let began = monotonicNanoseconds()
        try await withWorker(
            slots: 8,
            report: { event in
                if case .started(let order, _) = event { starts.withLock { $0[order.run, default: 0] += 1 } }
            }
        ) { client, _ in
            for number in 0..<count {
                let command = number % 2 == 0 ? ["true"] : ["sh", "-c", "exit 3"]
                let submission = Submission(
                    job: try Name("short-\(number)"),
                    queue: try Name("default"),
                    command: command.map { Array($0.utf8) }
                )
                _ = try await client.submit(submission)
            }
            for number in 0..<count {
                let record = try await client.ending(of: try Name("short-\(number)"))
                let isRight = number % 2 == 0 ? record.state == .completed : record.exitCode == 3
                if !isRight { wrong += 1 }
            }
        }
        let seconds = Double(monotonicNanoseconds() - began) / 1e9
        let counts = starts.withLock { $0 }
        print("\(count) short commands, 8 at a time: \(Int(Double(count) / seconds)) a second")
        let double = counts.values.count { $0 > 1 }
        print("lost \(count - counts.count)   double \(double)   wrong outcome \(wrong)")
        if counts.count != count || double > 0 || wrong > 0 {
            throw WrongResult(description: "runs were lost, doubled or ended wrongly")
        }
    }
}
