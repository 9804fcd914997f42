import InterruptCore
import InterruptRedis

/// 1,000 jobs that exit by themselves at the moment they are cancelled: every end must agree with the exit status.
enum Races {
    static let count = 1_000

    static func run() async throws {
        var ends: [String: Int] = [:]
        var wrong = 0
        try await withWorker(slots: 8) { client, _ in
            for number in 0..<count {
                let job = try Name("race-\(number)")
                let pause = Double(number % 20) / 1_000
                let submission = Submission(
                    job: job,
                    queue: try Name("default"),
                    command: ["sh", "-c", "sleep \(pause); exit \(number % 2 * 3)"].map { Array($0.utf8) }
                )
                guard case .queued(let run) = try await client.submit(submission) else { continue }
                try await Task.sleep(for: .milliseconds(Int.random(in: 3...20)))
                _ = try await client.interrupt([.run(run)], InterruptSignal(source: .remote))
                let record = try await client.ending(of: job)
                ends[record.state.rawValue, default: 0] += 1
                let agrees =
                    switch record.state {
                    case .completed: record.exitCode == 0
                    case .failed: record.exitCode == 3
                    case .interrupted: record.exitCode == nil
                    default: false
                    }
                if !agrees { wrong += 1 }
            }
        }
        print("\(count) races of an exit against a cancel: \(wrong) wrong ends; \(ends)")
        if wrong > 0 { throw WrongResult(description: "ends do not agree with exit statuses") }
    }
}
