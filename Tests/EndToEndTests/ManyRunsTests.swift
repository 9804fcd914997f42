import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(5)))
struct `A thousand runs` {
    /// How a run comes to its end.
    private enum Kind: CaseIterable {
        case success, failure, spawnError, cancelled, killed

        var command: [String] {
            switch self {
            case .success: ["true"]
            case .failure: ["false"]
            case .spawnError: ["no-such-program"]
            case .cancelled: ["sleep", "1000"]
            case .killed: ["bash", "-c", "trap '' TERM; while :; do sleep 1000; done"]
            }
        }

        var state: RunState {
            switch self {
            case .success: .completed
            case .failure, .spawnError: .failed
            case .cancelled, .killed: .interrupted
            }
        }
    }

    @Test
    func `of four jobs with every kind of end leave nothing behind, each started as soon as the one before has ended`()
        async throws
    {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "4"]) { daemon in
                // The first runs open what stays open: for processes, and for what happens at an instant.
                #expect(try await fleet.control("run", "--", "true").exitCode == 0)
                #expect(try await fleet.control("run", "--timeout", "1ms", "--", "sleep", "1000").exitCode == 124)
                var before: Int?
                try await eventually("what ended has closed what it had open", every: .seconds(1)) {
                    let earlier = before
                    before = openDescriptors(of: daemon)
                    return before == earlier
                }
                let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
                    for lane in 0..<4 {
                        group.addTask { try await rounds(250, of: try Name("job-\(lane)"), on: fleet) }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(wrong == [])
                try await eventually("no more is open than before") { openDescriptors(of: daemon) == before }
                try await expectNothingLeft(on: fleet)
            }
        }
    }

    @Test
    func `that wait start no more once their stop was answered, not one of ten thousand`() async throws {
        try await withFleet { fleet in
            let client = try await fleet.client
            let group = try Name("many")
            for number in 0..<10_000 {
                var submission = Submission(
                    job: try Name("job-\(number)"),
                    queue: try Name("default"),
                    command: [Array("true".utf8)]
                )
                submission.groups = [group]
                _ = try await client.submit(submission)
            }
            @Sendable func started() async throws -> Int {
                try await client.history(limit: 100_000) { $0.event == "started" }.count
            }
            try await fleet.worker("w1", ["--concurrency", "2"]) { _ in
                try await eventually("some have started") { try await started() > 10 }
                let receipts = try await client.interrupt(.group(group), InterruptSignal(source: .remote))
                let before = try await started()
                #expect(receipts.contains { $0.outcome == .stopped })
                #expect(try await fleet.control("run", "--", "true").exitCode == 0)
                #expect(try await started() == before + 1)
                #expect(try await fleet.redis.command("XLEN", "interrupt/queue/default").integer == 0)
                try await eventually("all have ended") { try await client.liveRuns(of: .group(group)).isEmpty }
            }
        }
    }

    /// Runs the job again and again, and tells what was not as it should be.
    private func rounds(_ count: Int, of job: Name, on fleet: Fleet) async throws -> [String] {
        let client = try await fleet.client
        var wrong: [String] = []
        for round in 0..<count {
            let kind = Kind.allCases[round % Kind.allCases.count]
            var submission = Submission(
                job: job,
                queue: try Name("default"),
                command: kind.command.map { Array($0.utf8) }
            )
            submission.groups = [try Name("lanes")]
            guard case .queued(let run) = try await client.submit(submission) else {
                wrong.append("round \(round): not taken")
                continue
            }
            if kind.state == .interrupted {
                let running = try await record(of: run, client) { $0.state == .running && $0.pid != nil }
                if !(running.pid.map { isRunning($0) } ?? false) { wrong.append("round \(round): no process") }
                let stage: InterruptStage = kind == .killed ? .kill : .terminate
                _ = try await client.interrupt([.run(run)], InterruptSignal(stage: stage, source: .remote))
            }
            let ended = try await record(of: run, client) { $0.state.isEnd }
            if kind.state == .interrupted, ended.reason == nil || ended.acknowledgedAt == nil {
                wrong.append("round \(round): nobody knows who asked")
            }
            if ended.state != kind.state { wrong.append("round \(round): \(kind) was \(ended.state)") }
            if let pid = ended.pid, isRunning(pid) { wrong.append("round \(round): \(pid) lives on") }
        }
        return wrong
    }

    private func record(
        of run: RunID,
        _ client: InterruptClient,
        when isMet: (RunRecord) -> Bool
    ) async throws -> RunRecord {
        while true {
            if let record = try await client.record(of: run), isMet(record) { return record }
            try await Task.sleep(for: .milliseconds(1))  // far shorter than a round; the suite's limit ends it
        }
    }

    private func expectNothingLeft(on fleet: Fleet) async throws {
        let keys = try await fleet.redis.command("KEYS", "*").array?.compactMap(\.text) ?? []
        let forGood = ["history", "meta", "ended", "workers", "worker/w1", "queue/default"].map { "interrupt/\($0)" }
        for key in keys where !forGood.contains(key) {
            #expect(key.hasPrefix("interrupt/"), "\(key) is a flag")
            #expect(try await fleet.redis.command("TTL", key).integer ?? -1 > 0, "\(key) stays for ever")
        }
        #expect(try await fleet.redis.command("XLEN", "interrupt/queue/default").integer == 0)
    }

    private func isRunning(_ pid: Int32) -> Bool { kill(pid, 0) == 0 }

    private func openDescriptors(of pid: Int32) -> Int? {
        try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    }
}
