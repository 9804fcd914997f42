import FoundationEssentials
public import InterruptCore

/// A run as it is recorded. The names of its fields are the same in Redis, in JSON and over HTTP.
public struct RunRecord: Hashable, Sendable {
    /// The fields as they stand in Redis. Values are bytes from elsewhere: not trusted, not printed raw.
    private let fields: [String: [UInt8]]

    /// Reads the reply of HGETALL; `nil` when there is no such run.
    init?(reply: RESPValue) {
        guard let values = reply.array, values.count >= 2 else { return nil }
        var fields: [String: [UInt8]] = [:]
        for index in stride(from: 0, to: values.count - 1, by: 2) {
            if let name = values[index].text, let value = values[index + 1].bytes { fields[name] = value }
        }
        guard fields["run"] != nil, fields["job"] != nil else { return nil }
        self.fields = fields
    }

    private func text(_ name: String) -> String? {
        fields[name].flatMap { $0.isEmpty ? nil : String(decoding: $0, as: UTF8.self) }
    }

    /// The field as it stands in Redis; `nil` when it is empty or missing.
    func bytes(_ name: String) -> [UInt8]? { fields[name].flatMap { $0.isEmpty ? nil : $0 } }

    private func number(_ name: String) -> Int64? { text(name).flatMap(Int64.init) }

    private func instant(_ name: String) -> Timestamp? {
        number(name + "_ms").map(Timestamp.init)
    }

    /// The execution.
    public var run: RunID { RunID(rawValue: text("run") ?? "") }
    /// The job's id.
    public var job: String { text("job") ?? "" }
    /// Where it is in its life; a state this program does not know counts as running.
    public var state: RunState { text("state").flatMap(RunState.init) ?? .running }
    /// Counts starts.
    public var attempt: Int { Int(number("attempt") ?? 0) }
    /// How often the job is tried again after a run that failed or was lost.
    public var retries: Int { Int(number("retries") ?? 0) }
    /// The run before this one, of an earlier submission of the job or of this one.
    public var previousRun: RunID? { text("previous_run").map(RunID.init) }
    /// The run in which the job is tried again after this one.
    public var nextRun: RunID? { text("next_run").map(RunID.init) }
    /// When it is offered to workers, if it waits for that because it is tried again.
    public var dueAt: Timestamp? { instant("due_at") }
    /// Since when nothing was heard of its worker.
    public var silentSince: Timestamp? { instant("silent_since") }
    /// Its queue.
    public var queue: String { text("queue") ?? "" }
    /// Its groups.
    public var groups: [String] { (text("groups") ?? "").split(separator: " ").map(String.init) }
    /// Program and arguments, as bytes.
    public var command: [[UInt8]] {
        (fields["command"] ?? []).split(separator: 0, omittingEmptySubsequences: false).map(Array.init)
    }
    /// The handler that it is a run of, in place of a command.
    public var handler: String? { text("handler") }
    /// What the handler is given.
    public var input: String { text("input") ?? "" }
    /// What it executes, for display: the command, words with spaces quoted, or the handler and its input.
    public var workText: String {
        if let handler { return input.isEmpty ? "handler \(handler)" : "handler \(handler) \(input)" }
        return command.map { String(decoding: $0, as: UTF8.self) }
            .map { $0.isEmpty || $0.contains(" ") ? "'\($0)'" : $0 }
            .joined(separator: " ")
    }
    /// The working directory.
    public var directory: String? { text("cwd") }
    /// The worker that holds or held it.
    public var worker: String? { text("worker") }
    /// The worker's instance.
    public var instance: String? { text("instance") }
    /// The leader's process id.
    public var pid: Int32? { number("pid").map(Int32.init(truncatingIfNeeded:)) }
    /// The stage that its worker has acknowledged.
    public var stage: InterruptStage? { number("stage").flatMap { InterruptStage(rawValue: Int($0)) } }
    /// Why it was interrupted.
    public var reason: InterruptReason? { text("reason").map(InterruptReason.init) }
    /// The text of the interrupt.
    public var message: String? { text("message") }
    /// Who asked.
    public var triggeredBy: String? { text("triggered_by") }
    /// The request that was first.
    public var requestID: String? { text("request_id") }
    /// How the interrupt reached the worker.
    public var way: DeliveryWay? { text("via").flatMap(DeliveryWay.init) }
    /// How far it is, as it has said last; `nil` when it has said nothing that can be read.
    public var progress: WorkProgress? {
        text("progress").flatMap(Double.init).flatMap { try? WorkProgress($0, text("progress_message")) }
    }
    /// When it first was this far.
    public var progressAt: Timestamp? { instant("progress_at") }
    /// How much longer it takes at `now` if it goes on as it has; `nil` when that cannot be said.
    public func remaining(at now: Timestamp) -> Duration? {
        guard state == .running, let progress, let startedAt, let progressAt else { return nil }
        return progress.remaining(elapsed: progressAt - startedAt, standing: now - progressAt)
    }
    /// From where a later run of the job could go on, as it has said last.
    public var checkpoint: String? { text("checkpoint") }
    /// How much more than its grace period it was given, because it asked.
    public var moreTime: Duration { .milliseconds(number("more_time_ms") ?? 0) }
    /// Whether it goes on although it was asked to end, as its worker has said.
    public var isHoldingOut: Bool { !state.isEnd && text("holdout_since_ms") != nil }
    /// Why it goes on at `now` although it was asked to end, as its worker has said; `nil` when it has not.
    public func holdout(at now: Timestamp) -> Holdout? {
        guard !state.isEnd, let since = instant("holdout_since") else { return nil }
        return Holdout(
            survivors: text("survivors"),
            section: text("holdout_section"),
            lastCheckpoint: text("holdout_checkpoint"),
            elapsed: max(.zero, now - since)
        )
    }
    /// When it was submitted.
    public var submittedAt: Timestamp? { instant("submitted_at") }
    /// Until when its start is signed.
    public var expiresAt: Timestamp? { instant("expires_at") }
    /// When it was claimed.
    public var startedAt: Timestamp? { instant("started_at") }
    /// Since when it is paused.
    public var pausedAt: Timestamp? { instant("paused_at") }
    /// Who asked for the pause that came last.
    public var pausedBy: String? { text("paused_by") }
    /// For how long it was paused, without the pause that lasts.
    public var pausedTime: Duration { .milliseconds(number("paused_ms") ?? 0) }
    /// How much of the time since its start does not count towards its timeout at `now`, because it was paused.
    public func unchargedTime(at now: Timestamp) -> Duration {
        if chargesPausedTime { return .zero }
        return pausedTime + (pausedAt.map { max(.zero, now - $0) } ?? .zero)
    }
    /// How much it may use.
    public var limits: RunLimits {
        RunLimits(
            memory: number("max_memory_bytes"),
            cpuTime: number("max_cpu_ms").map { .milliseconds($0) },
            processes: number("max_processes").map { Int($0) },
            output: number("max_output_bytes")
        )
    }
    /// What is done beside it.
    public var hooks: RunHooks {
        RunHooks(
            onInterrupt: text("on_interrupt"),
            onEnd: text("on_end"),
            limit: number("hook_limit_ms").map { .milliseconds($0) } ?? RunHooks.defaultLimit
        )
    }
    /// Whether the time for which it is paused counts towards its timeout.
    public var chargesPausedTime: Bool { text("charge_paused") == "1" }
    /// When the first interrupt was recorded.
    public var requestedAt: Timestamp? { instant("requested_at") }
    /// When its worker wrote the receipt.
    public var acknowledgedAt: Timestamp? { instant("acknowledged_at") }
    /// When it was verified to be gone because of the interrupt.
    public var confirmedAt: Timestamp? { instant("confirmed_at") }
    /// When it ended.
    public var endedAt: Timestamp? { instant("ended_at") }
    /// Whether an interrupt came too late to cause the end.
    public var isLateInterrupt: Bool { text("late_interrupt") == "1" }
    /// The leader's exit status.
    public var exitCode: Int32? { number("exit_code").map(Int32.init(truncatingIfNeeded:)) }
    /// The Unix signal that ended the leader.
    public var termSignal: Int32? { number("term_signal").map(Int32.init(truncatingIfNeeded:)) }
    /// Whether a core was dumped.
    public var dumpedCore: Bool { text("core_dumped") == "1" }
    /// Why it failed without an exit status.
    public var error: String? { text("error") }
    /// What went wrong with its hooks.
    public var hookError: String? { text("hook_error") }
    /// Whether the kernel ended a process of it because there was no memory left for it.
    public var ranOutOfMemory: Bool { text("oom") == "1" }
    /// How many processes of it that were.
    public var memoryKills: Int { Int(number("oom_kills") ?? 0) }
    /// How much it has written, both streams together; known when it has ended.
    public var outputBytes: Int64? { number("output_bytes") }
    /// The file on the worker that has all of the output, or its end; known when it has ended.
    public var outputFile: String? { text("output_file") }
    /// The first byte of the output that the file, or the one before it, has; known when it has ended.
    public var outputKeptFrom: Int64? { number("output_kept_from") }
    /// The last line that it has written; known when it has ended.
    public var lastOutput: String? { text("last_output") }
    /// The run's grace period: its own, or from its start on that of its worker.
    public var gracePeriod: Duration? { number("grace_ms").map { .milliseconds($0) } }
    /// The run's timeout.
    public var timeout: Duration? { number("timeout_ms").map { .milliseconds($0) } }

    /// What a worker needs to run it; `nil` when a field that it needs is broken.
    func order(environment: RESPValue?) -> RunOrder? {
        // Files are named after the run, too.
        guard (try? Name(run.rawValue)) != nil, let job = try? Name(job), let queue = try? Name(queue), let work else {
            return nil  // a record that no submit script wrote
        }
        var variables: [String: [UInt8]] = [:]
        let pairs = environment?.array ?? []
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let name = pairs[index].text, let value = pairs[index + 1].bytes { variables[name] = value }
        }
        return RunOrder(
            run: run,
            job: job,
            attempt: attempt,
            retries: retries,
            queue: queue,
            groups: groups.compactMap { try? Name($0) },
            work: work,
            directory: directory,
            environment: variables,
            gracePeriod: gracePeriod,
            timeout: timeout,
            chargesPausedTime: chargesPausedTime,
            limits: limits,
            hooks: hooks
        )
    }

    private var work: RunOrder.Work? {
        if let handler { return (try? Name(handler)).map { .handler($0, input: input) } }
        return command.first?.isEmpty == false ? .command(command) : nil
    }

    private static let texts = [
        "previous_run", "next_run", "first_run", "queue", "cwd", "worker", "instance", "reason", "message",
        "triggered_by", "request_id", "via",
        "submitted_by", "error", "output_file", "last_output", "handler", "holdout_section", "holdout_checkpoint",
        "survivors", "hook_error", "paused_by", "on_interrupt", "on_end", "checkpoint",
    ]
    private static let numbers = [
        "v", "attempt", "retries", "pid", "stage", "exit_code", "term_signal", "grace_ms", "timeout_ms", "output_bytes",
        "output_kept_from", "paused_ms", "max_memory_bytes", "max_cpu_ms", "max_processes", "max_output_bytes",
        "hook_limit_ms", "more_time_ms", "oom_kills",
    ]
    private static let booleans = ["save_checkpoint", "core_dumped", "late_interrupt", "oom", "charge_paused"]
    private static let instants = [
        "submitted_at", "started_at", "paused_at", "requested_at", "acknowledged_at", "confirmed_at", "ended_at",
        "silent_since", "progress_at", "holdout_since", "due_at", "expires_at",
    ]

    /// The record as JSON: instants as RFC 3339 in UTC, durations in milliseconds, absent fields left out.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "job": .string(job), "run": .string(run.rawValue), "state": .string(state.rawValue),
            "groups": .array(groups.map(JSONValue.string)),
        ]
        if handler == nil {
            members["command"] = .array(command.map { .string(String(decoding: $0, as: UTF8.self)) })
        } else {
            members["input"] = .string(input)
        }
        members["progress"] = progress.map { .number($0.fraction) }
        members["progress_message"] = progress?.message.map(JSONValue.string)
        for name in Self.texts { members[name] = text(name).map(JSONValue.string) }
        for name in Self.numbers { members[name] = number(name).map(JSONValue.integer) }
        for name in Self.booleans { members[name] = text(name).map { .bool($0 == "1") } }
        for name in Self.instants { members[name] = instant(name).map { .string($0.rfc3339) } }
        // The scripts wrote it; what they did not write is left out.
        members["escalated_by"] = fields["escalated_by"].flatMap {
            try? JSONDecoder().decode(JSONValue.self, from: Data($0))
        }
        return .object(members)
    }
}

extension WorkProgress {
    /// The part that is done as it is written: to the hundredth of a percent, rounded down, with a point.
    var wireText: String {
        let parts = Int(fraction * 10_000 + 1e-6)
        let digits = String(parts % 10_000)
        return "\(parts / 10_000)." + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
