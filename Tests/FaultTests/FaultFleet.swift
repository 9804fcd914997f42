import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// What a job is like.
enum JobKind: CaseIterable, Sendable {
    /// Ends when it is asked to.
    case stub
    /// Does not listen.
    case deaf
    /// Leaves its session, forks twice, and none of it listens.
    case escaping

    var script: String {
        switch self {
        case .stub: "exec sleep 1000"
        case .deaf: "trap '' TERM INT HUP; while :; do sleep 1000; done"
        case .escaping:
            """
            (setsid bash -c 'trap "" TERM INT HUP; (sleep 1001 & exec sleep 1002) & exec sleep 1003' &)
            trap '' TERM; exec sleep 1004
            """
        }
    }
}

/// How much of the long versions is run: 1, or what `FAULT_SCALE` says; 10 is a night's.
let faultScale = ProcessInfo.processInfo.environment["FAULT_SCALE"].flatMap(Int.init) ?? 1

extension Fleet {
    /// Runs `body` with a connection of its own to the server itself.
    func asking<R>(_ body: (InterruptClient) async throws -> R) async throws -> R {
        let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
        defer { connection.close() }
        return try await body(InterruptClient(commands: connection, keys: try RedisKeys()))
    }

    /// The same, with programs that break at a failpoint, `STEP:ACTION`.
    func breaking(at failpoint: String) -> Fleet {
        var fleet = self
        fleet.failpoint = failpoint
        return fleet
    }

    /// Has the server close every subscription to the signals, because more waits for it than it may have.
    func kickSubscriptions() async throws {
        try await redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1024 0 0")
        try await redis.command("PUBLISH", "interrupt:signals", String(repeating: "x", count: 1_048_576))
        try await redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60")
    }

    /// Submits runs of jobs with names of their own.
    func submit(
        _ count: Int,
        _ kind: JobKind = .stub,
        queue: String = "default",
        timeout: Duration? = nil,
        script: String? = nil
    ) async throws -> [RunID] {
        var runs: [RunID] = []
        try await asking { client in
            for _ in 0..<count {
                var submission = Submission(
                    job: try Name("j-\(RunID.random())"),
                    queue: try Name(queue),
                    command: ["bash", "-c", script ?? kind.script].map { Array($0.utf8) }
                )
                submission.gracePeriod = kind == .stub ? .seconds(2) : .milliseconds(300)
                submission.timeout = timeout
                guard case .queued(let run) = try await client.submit(submission) else { continue }
                runs.append(run)
            }
        }
        try #require(runs.count == count)
        return runs
    }

    /// Submits runs and waits until each has its process.
    func start(
        _ count: Int,
        _ kind: JobKind = .stub,
        queue: String = "default",
        timeout: Duration? = nil
    ) async throws -> [RunID] {
        let runs = try await submit(count, kind, queue: queue, timeout: timeout)
        try await asking { client in
            try await eventually("\(count) runs have their processes") {
                try await client.records(of: runs).allSatisfy { $0.state == .running && $0.pid != nil }
            }
        }
        // Each has begun its program.
        try await eventually("all of them are there") { livingRuns(among: Set(runs)).count == count }
        // And who is not to listen does not listen yet if it only begins.
        let leaders = try await asking { try await $0.records(of: runs).compactMap(\.pid) }
        try await eventually("none of them listens") { kind == .stub || leaders.allSatisfy { isDeaf($0) } }
        return runs
    }

    /// Waits until all of these have ended.
    func ended(_ runs: [RunID], within limit: Duration = .seconds(20)) async throws {
        try await asking { client in
            try await eventually("\(runs.count) runs have ended", within: limit) {
                try await client.records(of: runs).allSatisfy(\.state.isEnd)
            }
        }
    }

    /// Everything there is to judge: of the runs given, and of the whole machine's processes.
    func facts(
        of runs: [RunID],
        asked: [Invariants.Asked],
        endedByOthers: Set<RunID> = []
    ) async throws -> Invariants {
        let (records, history) = try await asking { client in
            (try await client.records(of: runs), try await client.history(limit: 100_000))
        }
        try #require(records.count == runs.count, "every run is on record")
        let events = history.map { entry in
            Invariants.Event(
                name: entry.event,
                run: RunID(rawValue: entry.fields["run"] ?? ""),
                request: entry.fields["request_id"].flatMap { $0.isEmpty ? nil : RequestID(rawValue: $0) }
            )
        }
        return Invariants(
            asked: asked,
            runs: records.map { .init(id: $0.run, state: $0.state, isLate: $0.isLateInterrupt) },
            events: events,
            alive: livingRuns(among: Set(runs)),
            endedByOthers: endedByOthers
        )
    }

    func records(of runs: [RunID]) async throws -> [RunRecord] {
        try await asking { try await $0.records(of: runs) }
    }

    /// By which way the interrupts of runs arrived.
    func ways(of runs: [RunID]) async throws -> String {
        let ways = try await records(of: runs).map { $0.way?.rawValue ?? "none" }
        return Dictionary(grouping: ways, by: \.self).map { "\($0.key) \($0.value.count)" }.sorted().joined(
            separator: ", "
        )
    }

    /// How long it took from the record of each request to its worker's receipt, by the server's clock, shortest first.
    func latencies(of runs: [RunID]) async throws -> [Duration] {
        try await records(of: runs).compactMap { record in
            guard let requestedAt = record.requestedAt, let acknowledgedAt = record.acknowledgedAt else { return nil }
            return acknowledgedAt - requestedAt
        }.sorted()
    }

    /// The lines that a worker has said so far.
    func lines(of worker: String) throws -> [String] {
        try String(contentsOfFile: "\(directory)/\(worker).log", encoding: .utf8).split(separator: "\n").map(
            String.init
        )
    }
}

/// The processes that carry the number of a run in their environment.
func livingRuns(among runs: Set<RunID>) -> [RunID: [Int32]] {
    var found: [RunID: [Int32]] = [:]
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []  // /proc is always there
    for pid in entries.compactMap(Int32.init) {
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { continue }
        for variable in data.split(separator: 0) where variable.starts(with: "INTERRUPT_RUN=".utf8) {
            let run = RunID(rawValue: String(decoding: variable.dropFirst("INTERRUPT_RUN=".utf8.count), as: UTF8.self))
            if runs.contains(run) { found[run, default: []].append(pid) }
        }
    }
    return found
}

extension Array<Duration> {
    /// The value that so many percent do not exceed; of none, zero. The array is sorted.
    func percentile(_ percent: Int) -> Duration { isEmpty ? .zero : self[Swift.min(count - 1, count * percent / 100)] }
}

/// Whether a process ignores SIGTERM.
private func isDeaf(_ pid: Int32) -> Bool {
    let data = FileManager.default.contents(atPath: "/proc/\(pid)/status") ?? Data()
    let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
    let ignored = lines.first { $0.hasPrefix("SigIgn:") }?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
    return ignored.map { $0 & 1 << (SIGTERM - 1) != 0 } ?? false
}

/// Whether a process has not ended. One that has, and that nobody has waited for yet, can still be signalled.
func isRunning(_ pid: Int32) -> Bool {
    ProcessStatus(of: pid).map { $0.state != "Z" } ?? false
}
