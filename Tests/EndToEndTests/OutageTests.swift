import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// Jobs that wait until they are let go on, all at once.
private struct Gate: Sendable {
    let path: String

    init(in directory: String) throws {
        path = "\(directory)/gate"
        try #require(mkfifo(path, 0o600) == 0)
    }

    /// A script that waits in front of the gate, and then goes on with the rest.
    func script(_ rest: String) -> [String] { ["sh", "-c", ": < \(path); \(rest)"] }

    /// Lets all go on that have come, and all that still come as long as the result is not closed.
    func open() -> Int32 { Glibc.open(path, O_RDWR) }
}

extension Fleet {
    fileprivate func submit(_ job: String, _ command: [String], options: [String] = []) async throws {
        let submitted = try await control(["submit", "--id", job] + options + ["--"] + command)
        try #require(submitted.exitCode == 0, "\(submitted)")
    }

    /// Waits until the job runs, and its process is on record.
    fileprivate func running(_ job: String) async throws -> RunRecord {
        try await eventually("\(job) runs") { try await wait(for: job, .running).pid != nil }
        return try await wait(for: job, .running)
    }

    fileprivate func outbox(of worker: String) -> String { "\(directory)/\(worker)/outbox/\(worker)" }

    fileprivate func files(of worker: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: outbox(of: worker))) ?? []
    }

    /// Whether the run's end waits in a file.
    fileprivate func waits(_ run: RunID, at worker: String) -> Bool {
        let data = FileManager.default.contents(atPath: "\(outbox(of: worker))/\(run).json") ?? Data()
        return String(decoding: data, as: UTF8.self).contains("\"ending\"")
    }

    fileprivate func events(of job: String) async throws -> [String] {
        try await client.history(limit: 100_000) { $0.fields["job"] == job }.map(\.event)
    }
}

@Suite(.serialized, .timeLimit(.minutes(3)))
struct `While Redis is away` {
    @Test(arguments: [SIGKILL, SIGTERM])
    func `outcomes wait in files, and the next start of the worker records each once`(signal: Int32) async throws {
        try await withFleet { fleet in
            let gate = try Gate(in: fleet.directory)
            let (failed, late, runs, seen) = try await fleet.worker("w1", ["--concurrency", "3"]) { pid in
                try await fleet.submit("failed", gate.script("echo bye; exit 3"))
                try await fleet.submit("runs", ["sleep", "300"])
                let (failed, runs) = (try await fleet.running("failed"), try await fleet.running("runs"))
                try await fleet.submit("late", ["sleep", "300"], options: ["--timeout", "8s", "--grace", "10s"])
                let late = try await fleet.running("late")
                try await fleet.redis.takeAway()
                let writer = gate.open()
                defer { close(writer) }
                try await eventually("both ends are in files") {
                    fleet.waits(failed.run, at: "w1") && fleet.waits(late.run, at: "w1")
                }
                let seen = Timestamp.now
                let start = ContinuousClock.now
                kill(pid, signal)
                try await eventually("the worker has gone") { kill(pid, 0) != 0 || isZombie(pid) }
                // It has a grace period of 2 s, and does not wait for Redis.
                #expect(ContinuousClock.now - start < .seconds(20))
                return (failed.run, late.run, runs.run, seen)
            }
            if signal == SIGTERM {
                #expect(fleet.waits(runs, at: "w1"))
                try await fleet.log(of: "w1", has: "outcomes are not recorded yet")
                try await fleet.log(of: "w1", has: #"runs="3""#)
            }
            try await fleet.redis.bringBack()
            let back = try await fleet.client.serverTime()
            for job in ["failed", "late", "runs"] { try await fleet.wait(for: job, .running) }
            try await fleet.worker("w1") { _ in
                #expect(try await fleet.wait(for: "failed", .failed).exitCode == 3)
                let interrupted = try await fleet.wait(for: "late", .interrupted)
                #expect(
                    interrupted.reason == .timeout && interrupted.way == .local && interrupted.termSignal == SIGTERM
                )
                for job in ["failed", "late"] {
                    let record = try #require(try await fleet.client.newestRun(of: try Name(job)))
                    let ended = try #require(record.endedAt)
                    let end = try await fleet.client.history(limit: 1_000) {
                        $0.fields["run"] == record.run.rawValue && $0.event == "ended"
                    }
                    let written = try #require(end.first?.id.split(separator: "-").first.flatMap { Int64($0) })
                    // What it takes to write it makes both later.
                    #expect(
                        Timestamp(milliseconds: written) - ended >= back - seen,
                        "it is on record when it ended, not when that was recorded"
                    )
                }
                let instants = [interrupted.requestedAt, interrupted.acknowledgedAt, interrupted.endedAt].compactMap(
                    \.self
                )
                #expect(instants.count == 3 && instants == instants.sorted())
                // Of what still ran when its worker was killed nobody knows the end.
                let other = try await fleet.wait(for: "runs", signal == SIGKILL ? .lost : .interrupted)
                #expect(other.reason == (signal == SIGKILL ? nil : .systemShutdown))
                try await eventually("nothing waits any more") { fleet.files(of: "w1").isEmpty }
                #expect(try await fleet.control("run", "--", "true").exitCode == 0)
            }
            #expect(try await fleet.events(of: "failed") == ["submitted", "started", "ended"])
            let asked = ["submitted", "started", "requested", "acknowledged", "ended"]
            #expect(try await fleet.events(of: "late") == asked)
            for run in [failed, late, runs] {
                let ends = try await fleet.client.history(limit: 1_000) {
                    $0.fields["run"] == run.rawValue && $0.event == "ended"
                }
                #expect(ends.count == 1)
            }
        }
    }

    /// `OUTAGE_SECONDS` makes it longer.
    private let outageSeconds = ProcessInfo.processInfo.environment["OUTAGE_SECONDS"].flatMap(Int.init) ?? 7

    @Test
    func `none of a hundred jobs is harmed, leased ones are fenced, and all ends are on record afterwards`()
        async throws
    {
        try await withFleet { fleet in
            let gate = try Gate(in: fleet.directory)
            let client = try await fleet.client
            var (all, leased): ([RunID], [Name]) = ([], [])
            for number in 0..<110 {
                let command = gate.script("exit \(number < 100 ? number % 3 : 0)").map { Array($0.utf8) }
                let job = try Name("job-\(number)")
                var submission = Submission(job: job, queue: try Name("default"), command: command)
                submission.retries = number < 100 ? 0 : 9
                guard case .queued(let run) = try await client.submit(submission) else { continue }
                if number < 100 { all.append(run) } else { leased.append(job) }
            }
            let (plain, retried) = (all, leased)
            try await fleet.worker("w1", ["--concurrency", "110", "--lease", "6s"]) { pid in
                var fenced: [RunID] = []
                try await eventually("all run") {
                    // What a worker without a processor did not keep alive while it started is tried again already.
                    fenced = []
                    for job in retried { if let run = try await client.newestRun(of: job)?.run { fenced.append(run) } }
                    let records = try await client.records(of: plain + fenced)
                    return records.count { $0.state == .running && $0.pid != nil } == 110
                        && fenced.allSatisfy { !processes(with: "INTERRUPT_RUN=\($0)").isEmpty }
                }
                let before = Set(try await client.records(of: plain).compactMap(\.pid))
                let seenAt = try #require(try await client.worker("w1")).seenAt
                try await fleet.redis.takeAway()
                let gone = ContinuousClock.now
                try await eventually("the leased ones are ended", within: .seconds(20)) {
                    fenced.allSatisfy { processes(with: "INTERRUPT_RUN=\($0)").isEmpty }
                }
                let fence = ContinuousClock.now - gone
                // Four fifths of the lease after a heartbeat was sent; with room for one that was long on its way.
                #expect(Timestamp.now - seenAt > .seconds(3), "not before their fence")
                // Not to wait for something: it is to be away for longer than a lease.
                try await Task.sleep(for: .seconds(outageSeconds) - fence)
                #expect(before.allSatisfy { kill($0, 0) == 0 }, "what nobody asks to end goes on")
                let writer = gate.open()
                defer { close(writer) }
                try await eventually("all ends are in files") {
                    fleet.files(of: "w1").count == 110 && (plain + fenced).allSatisfy { fleet.waits($0, at: "w1") }
                }
                let away = ContinuousClock.now - gone
                let back = ContinuousClock.now
                try await fleet.redis.bringBack()
                let ready = ContinuousClock.now
                let after = try await fleet.client
                try await eventually("all ends are on record", within: .seconds(20)) {
                    try await after.records(of: plain + fenced).allSatisfy(\.state.isEnd)
                }
                let recorded = ContinuousClock.now
                let records = try await after.records(of: plain)
                let ends = records.compactMap(\.endedAt).map(\.milliseconds).sorted()
                let perTenth = Dictionary(grouping: ends) { $0 / 100 }.values.map(\.count).max() ?? 0
                print(
                    """
                    an outage of \(away) with 100 jobs, and 10 leased ones that were ended \(fence) after its
                    beginning: \(ready - back) until Redis answered, \(recorded - back) until all \
                    was on record; written within \((ends.last ?? 0) - (ends.first ?? 0)) ms, at most \(perTenth) ends \
                    in a tenth of a second
                    """
                )
                for record in records {
                    let number = Int(record.job.dropFirst(4)) ?? -1
                    #expect(record.state == (number % 3 == 0 ? .completed : .failed))
                    #expect(record.exitCode.map(Int.init) == number % 3)
                }
                var attempts = 0
                for run in fenced {
                    let first = try #require(try await after.record(of: run))
                    #expect(first.state == .lost && first.nextRun != nil, "\(first)")
                    let second = try await fleet.wait(for: first.job, .completed)
                    #expect(second.attempt == first.attempt + 1 && second.previousRun == run)
                    attempts += second.attempt
                }
                let ended = try await after.history(limit: 100_000) { $0.event == "ended" }
                #expect(ended.count == 100 + attempts)
                #expect(kill(pid, 0) == 0)
                try await eventually("nothing waits any more") { fleet.files(of: "w1").isEmpty }
            }
        }
    }

    @Test func `for less than a lease, nobody is called lost`() async throws {
        try await withFleet { fleet in
            let gate = try Gate(in: fleet.directory)
            try await fleet.worker("w1", ["--lease", "6s"]) { _ in
                try await fleet.worker("w2", ["--lease", "6s"]) { _ in
                    for number in 0..<2 { try await fleet.submit("job-\(number)", gate.script("exit 0")) }
                    for number in 0..<2 { _ = try await fleet.running("job-\(number)") }
                    try await fleet.redis.restart()
                    try await beats(1, of: ["w1", "w2"], fleet)
                    try await fleet.redis.takeAway()
                    try await Task.sleep(for: .seconds(4.5))  // it is to be away for longer than a heartbeat may take
                    try await fleet.redis.bringBack()
                    try await beats(2, of: ["w1", "w2"], fleet)
                    for number in 0..<2 { try await fleet.wait(for: "job-\(number)", .running) }
                    let writer = gate.open()
                    defer { close(writer) }
                    for number in 0..<2 { try await fleet.wait(for: "job-\(number)", .completed) }
                }
            }
            let lost = try await fleet.client.history(limit: 1_000) { $0.fields["state"] == "lost" }
            #expect(lost.isEmpty)
        }
    }

    @Test func `and comes back without the records, they stay gone, and the worker goes on`() async throws {
        try await withFleet { fleet in
            let gate = try Gate(in: fleet.directory)
            try await fleet.worker("w1", ["--lease", "3s", "--concurrency", "2"]) { _ in
                try await fleet.submit("gone", gate.script("echo x; exit 3"))
                try await fleet.submit("late", ["sleep", "300"], options: ["--timeout", "8s"])
                let runs = [try await fleet.running("gone").run, try await fleet.running("late").run]
                try await fleet.redis.command("FLUSHALL")
                let writer = gate.open()
                defer { close(writer) }
                // Both slots are free again only when both runs are over.
                let next = try await fleet.control("run", "--", "sh", "-c", "echo next")
                #expect(next.text == "next\n" && next.exitCode == 0, "\(next)")
                try await eventually("both slots are free") {
                    let worker = try await fleet.client.worker("w1")
                    return worker?.running == 0
                }
                for run in runs {
                    let keys = try await fleet.redis.command("KEYS", "*\(run)*").array ?? []
                    #expect(keys.isEmpty, "\(keys)")
                }
                #expect(try await fleet.client.liveRuns(of: .all).isEmpty)
                #expect(try await fleet.client.newestRun(of: try Name("gone")) == nil)
                #expect(fleet.files(of: "w1").isEmpty)
            }
        }
    }

    @Test func `or only its scripts are, nobody notices`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                for round in 0..<5 {
                    try await fleet.redis.command("SCRIPT", "FLUSH")
                    try await fleet.submit("job-\(round)", ["sleep", "300"])
                    _ = try await fleet.running("job-\(round)")
                    try await fleet.redis.command("SCRIPT", "FLUSH")
                    let cancelled = try await fleet.control("cancel", "job-\(round)")
                    #expect(cancelled.exitCode == 0, "\(cancelled)")
                    try await fleet.wait(for: "job-\(round)", .interrupted)
                    let asked = ["submitted", "started", "requested", "acknowledged", "ended"]
                    #expect(try await fleet.events(of: "job-\(round)") == asked)
                }
            }
            let log = try String(contentsOfFile: "\(fleet.directory)/w1.log", encoding: .utf8)
            #expect(!log.contains("NOSCRIPT"))
        }
    }

    /// Waits until each worker was heard of so many times more.
    private func beats(_ count: Int64, of workers: [String], _ fleet: Fleet) async throws {
        func heartbeats() async throws -> [Int64] {
            var counts: [Int64] = []
            for worker in workers {
                let text = try await fleet.redis.command("HGET", "interrupt/worker/\(worker)", "heartbeat").text
                counts.append(text.flatMap(Int64.init) ?? 0)
            }
            return counts
        }
        let before = try await heartbeats()
        try await eventually("all are heard of") {
            zip(before, try await heartbeats()).allSatisfy { $1 >= $0 + count }
        }
    }

    private func isZombie(_ pid: Int32) -> Bool {
        let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        return status?.contains(") Z ") ?? true
    }
}
