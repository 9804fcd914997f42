public import InterruptCore
import InterruptJSON

/// A worker as it is recorded.
public struct WorkerRecord: Hashable, Sendable {
    /// The name.
    public var name: String
    /// This start of it.
    public var instance: String
    /// The host it runs on.
    public var host: String
    /// Its process id.
    public var pid: Int32
    /// How many runs it holds at a time.
    public var slots: Int
    /// How many it said it runs.
    public var running: Int
    /// The program's version.
    public var version: String
    /// The queues it takes from.
    public var queues: String
    /// How it holds the processes of a run together; empty when it runs none.
    public var containment: String
    /// Counts its signs of life.
    public var heartbeat: Int64
    /// How many messages, flags and records it could not read as interrupts.
    public var malformed: Int
    /// How many requests it did not honour because nobody with its key has signed them.
    public var refusedRequests: Int
    /// How many submissions it did not run: against its rules, or not signed with its key, wrongly, or too long ago.
    public var refusedSubmissions: Int
    /// How often it has lost Redis since it began; all connections that are lost together count once.
    public var outages: Int
    /// Whether it honours only what is signed with its key.
    public var heedsSignedOnly: Bool
    /// When the last one came, by Redis TIME.
    public var seenAt: Timestamp
    /// When the instance began.
    public var startedAt: Timestamp
    /// What identifies the boot of its host; with the pid, enough to prove it dead.
    public var boot: String
    /// When the process started, in clock ticks since the boot.
    public var processStart: UInt64
    /// How long it may be silent, in milliseconds.
    public var lease: Duration

    init?(name: String, reply: RESPValue) {
        guard let values = reply.array, !values.isEmpty else { return nil }
        var fields: [String: String] = [:]
        for index in stride(from: 0, to: values.count - 1, by: 2) {
            fields[values[index].text ?? ""] = values[index + 1].text
        }
        guard let instance = fields["instance"] else { return nil }
        func number(_ name: String) -> Int64 { fields[name].flatMap(Int64.init) ?? 0 }
        self.name = name
        self.instance = instance
        host = fields["host"] ?? ""
        pid = Int32(truncatingIfNeeded: number("pid"))
        slots = Int(number("slots"))
        running = Int(number("running"))
        version = fields["version"] ?? ""
        queues = fields["queues"] ?? ""
        containment = fields["containment"] ?? ""
        heartbeat = number("heartbeat")
        malformed = Int(number("malformed"))
        refusedRequests = Int(number("refused_requests"))
        refusedSubmissions = Int(number("refused_submissions"))
        outages = Int(number("outages"))
        heedsSignedOnly = fields["signed_only"] == "1"
        seenAt = Timestamp(milliseconds: number("seen_at_ms"))
        startedAt = Timestamp(milliseconds: number("started_at_ms"))
        boot = fields["boot"] ?? ""
        processStart = fields["pid_start"].flatMap(UInt64.init) ?? 0
        lease = .milliseconds(number("lease_ms"))
    }
}

/// One entry of the history: a request, a receipt, an outcome.
public struct HistoryEntry: Hashable, Sendable {
    /// Its place in the stream.
    public var id: String
    /// The fields as recorded. Values are from elsewhere: not trusted, not printed raw.
    public var fields: [String: String]

    init?(reply: RESPValue) {
        guard let parts = reply.array, parts.count == 2, let id = parts[0].text, let values = parts[1].array else {
            return nil
        }
        self.id = id
        fields = [:]
        for index in stride(from: 0, to: values.count - 1, by: 2) {
            fields[values[index].text ?? ""] = values[index + 1].text
        }
    }

    /// When it was recorded, by Redis TIME.
    public var at: Timestamp { Timestamp(milliseconds: fields["at_ms"].flatMap(Int64.init) ?? 0) }
    /// What happened.
    public var event: String { fields["event"] ?? "" }

    /// The entry as JSON; numbers and truth values as such, the instant as RFC 3339.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["id": .string(id), "at": .string(at.rfc3339)]
        for (name, value) in fields where name != "at_ms" && !value.isEmpty {
            switch name {
            case "stage", "exit_code", "term_signal", "latency_ms":
                members[name] = Int64(value).map(JSONValue.integer) ?? .string(value)
            case "late_interrupt": members[name] = .bool(value == "1")
            default: members[name] = .string(value)
            }
        }
        return .object(members)
    }
}

/// A part of a run's output, or its end.
public enum OutputEntry: Hashable, Sendable {
    /// A piece of output.
    case chunk(OutputChunk)
    /// The run has ended in this state; nothing follows.
    case end(RunState)
}

extension InterruptClient {
    /// The newest run of a job; `nil` when there is none.
    public func newestRun(of job: Name) async throws(RedisError) -> RunRecord? {
        let run = try await commands.send(RedisCommand("HGET", .init(keys.job(job)), "run"))
        guard let id = run.text else { return nil }
        return try await record(of: RunID(rawValue: id))
    }

    /// One run; `nil` when it is not on record.
    public func record(of run: RunID) async throws(RedisError) -> RunRecord? {
        RunRecord(reply: try await commands.send(RedisCommand("HGETALL", .init(keys.run(run)))))
    }

    /// The runs with these ids that are on record, in order.
    public func records(of runs: [RunID]) async throws(RedisError) -> [RunRecord] {
        var records: [RunRecord] = []
        for start in stride(from: 0, to: runs.count, by: 200) {
            let chunk = runs[start..<min(start + 200, runs.count)]
            let replies = try await commands.replies(to: chunk.map { RedisCommand("HGETALL", .init(keys.run($0))) })
            records += replies.compactMap(RunRecord.init)
        }
        return records
    }

    /// The live runs, oldest first, then up to `limit` ended ones, newest last.
    public func list(includingEnded limit: Int) async throws(RedisError) -> [RunRecord] {
        let replies = try await commands.replies(to: [
            RedisCommand("ZRANGE", .init(keys.ended), .init(-max(limit, 1)), "-1"),
            RedisCommand("ZRANGE", .init(keys.live), "0", "-1"),
        ])
        let ended = limit > 0 ? replies[0].array?.compactMap(\.text) ?? [] : []
        let live = replies[1].array?.compactMap(\.text) ?? []
        return try await records(of: (ended + live).map(RunID.init))
    }

    /// The interrupt in force for a run; `nil` when nobody asked.
    public func request(for run: RunID) async throws(RedisError) -> InterruptSignal? {
        guard let bytes = try await commands.send(RedisCommand("GET", .init(keys.request(run)))).bytes else {
            return nil
        }
        return try? SignalMessage(json: bytes).signal(source: .remote, newID: .random())  // unreadable is shown as none
    }

    /// The workers that are on record.
    public func workers() async throws(RedisError) -> [WorkerRecord] {
        let names =
            try await commands.send(RedisCommand("SMEMBERS", .init(keys.workers))).array?.compactMap(\.text) ?? []
        let valid = names.sorted().compactMap { try? Name($0) }  // only our scripts write this set
        let replies = try await commands.replies(to: valid.map { RedisCommand("HGETALL", .init(keys.worker($0))) })
        return zip(valid, replies).compactMap { WorkerRecord(name: $0.description, reply: $1) }
    }

    /// One worker; `nil` when it is not on record.
    public func worker(_ name: String) async throws(RedisError) -> WorkerRecord? {
        guard let name = try? Name(name) else { return nil }  // no such name is ever registered
        return WorkerRecord(
            name: name.description,
            reply: try await commands.send(RedisCommand("HGETALL", .init(keys.worker(name))))
        )
    }

    /// The server's clock.
    public func serverTime() async throws(RedisError) -> Timestamp {
        let parts = try await commands.send(RedisCommand("TIME")).array?.compactMap(\.integer) ?? []
        guard parts.count == 2 else { throw RedisError(.reply, "TIME: unexpected reply from the server") }
        return Timestamp(milliseconds: parts[0] * 1_000 + parts[1] / 1_000)
    }

    /// The history, oldest first, at most the newest `limit` entries that pass `filter`.
    public func history(
        limit: Int,
        where filter: (HistoryEntry) -> Bool = { _ in true }
    ) async throws(RedisError) -> [HistoryEntry] {
        var entries: [HistoryEntry] = []
        var end = "+"
        while entries.count < limit {
            let command = RedisCommand("XREVRANGE", .init(keys.history), .init(end), "-", "COUNT", "1000")
            let page = try await commands.send(command).array?.compactMap(HistoryEntry.init) ?? []
            entries += page.filter(filter)
            guard page.count == 1_000, let last = page.last else { break }
            end = "(" + last.id
        }
        return entries.prefix(limit).reversed()
    }

    /// What a run has written after the entry `id` (`0` is all that is kept), waiting up to `wait` for more.
    public func output(
        of run: RunID,
        after id: String,
        waiting wait: Duration?
    ) async throws(RedisError) -> [(id: String, entry: OutputEntry)] {
        var arguments: [RedisArgument] = ["COUNT", "100"]
        if let wait { arguments += ["BLOCK", .init(wait.milliseconds)] }
        arguments += ["STREAMS", .init(keys.output(run)), .init(id)]
        let reply = try await commands.send(RedisCommand("XREAD", arguments))
        let entries = reply.array?.first?.array?.last?.array ?? []
        return entries.compactMap { entry in
            guard let parts = entry.array, parts.count == 2, let id = parts[0].text,
                let parsed = OutputEntry(fields: parts[1].array ?? [])
            else { return nil }
            return (id, parsed)
        }
    }
}

extension InterruptClient {
    /// The newest entries of a run's output, oldest first.
    public func outputTail(of run: RunID, entries: Int) async throws(RedisError) -> [OutputEntry] {
        let command = RedisCommand("XREVRANGE", .init(keys.output(run)), "+", "-", "COUNT", .init(entries))
        let reply = try await commands.send(command)
        return (reply.array ?? []).reversed().compactMap { entry in
            guard let parts = entry.array, parts.count == 2 else { return nil }
            return OutputEntry(fields: parts[1].array ?? [])
        }
    }
}

extension OutputEntry {
    fileprivate init?(fields: [RESPValue]) {
        var values: [String: RESPValue] = [:]
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            values[fields[index].text ?? ""] = fields[index + 1]
        }
        if let end = values["end"]?.text {
            self = .end(RunState(rawValue: end) ?? .lost)
        } else if let stream = values["stream"]?.text.flatMap(OutputChunk.Stream.init),
            let bytes = values["data"]?.bytes
        {
            self = .chunk(OutputChunk(stream: stream, offset: values["offset"]?.integer ?? 0, bytes: bytes))
        } else {
            return nil
        }
    }
}
