import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptJSON
@testable import InterruptRedis

/// A real server with a namespace in which there is one of everything, for values that nobody expects.
struct Namespace {
    let redis: TestRedis
    let connection: RedisConnection
    let client: InterruptClient
    let keys: RedisKeys

    static let queued = RunID(rawValue: "queuedqueuedqueuedqu")
    static let running = RunID(rawValue: "runningrunningrunnin")
    static let ended = RunID(rawValue: "endedendedendedended")
    static let instance = "i1"

    init(_ redis: TestRedis) async throws {
        self.redis = redis
        connection = try await RedisConnection.connect(to: redis.endpoint)
        keys = try RedisKeys()
        client = InterruptClient(commands: connection, keys: keys)
    }

    @discardableResult
    func command(_ words: [UInt8]...) async throws -> RESPValue {
        try await connection.send([RedisCommand(arguments: words)], timeout: .seconds(20))[0]
    }

    @discardableResult
    func command(_ words: String...) async throws -> RESPValue {
        try await connection.send([RedisCommand(arguments: words.map { Array($0.utf8) })], timeout: .seconds(20))[0]
    }

    /// Empties the server and fills it again: a queued, a running and an ended run, a worker, gates, output, requests.
    func fill() async throws {
        try await command("FLUSHALL")
        try await command("XGROUP", "CREATE", "interrupt/queue/default", "workers", "0", "MKSTREAM")
        _ = try await client.evaluate(
            RedisScripts.enter,
            ["w1", .init(Self.instance), "", "slots", "4", "lease_ms", "30000"]
        )
        for (job, run) in [("e", Self.ended), ("r", Self.running), ("q", Self.queued)] {
            _ = try await client.evaluate(RedisScripts.submit, Self.submission(job, run))
            if run == Self.queued { continue }
            let read = try await command(
                "XREADGROUP",
                "GROUP",
                "workers",
                "w1",
                "STREAMS",
                "interrupt/queue/default",
                ">"
            )
            let entry = read.array?.first?.array?.last?.array?.first?.array?.first?.text ?? ""
            _ = try await client.evaluate(RedisScripts.start, Self.start(run, entry))
        }
        for run in [Self.running, Self.ended] {
            _ = try await client.evaluate(RedisScripts.acknowledge, Self.signal + [.init(run.rawValue), "i1", "push"])
            let output: [RedisArgument] = ["1-0", "0", "out", "0", "hello"]
            _ = try await client.evaluate(RedisScripts.append, [.init(run.rawValue), "i1"] + output)
        }
        _ = try await client.evaluate(RedisScripts.end, Self.end(Self.ended))
        _ = try await client.evaluate(RedisScripts.closeGate, Self.signal + ["group:other", "open"])
    }

    static func submission(_ job: String, _ run: RunID) -> [RedisArgument] {
        [
            .init(job), .init(run.rawValue), "default", "g1 g2", "ops", "sleep\u{0}1", "/", "5000", "60000", "", "",
            "1",
            "hook_limit_ms", "1000", "NAME", "value",
        ]
    }

    static func start(_ run: RunID, _ entry: String) -> [RedisArgument] {
        [.init(run.rawValue), "default", .init(entry), "w1", .init(instance), "10000"]
    }

    static let signal: [RedisArgument] = ["q1", "job", "2", "timeout", "message", "ops", "1", "5000", "remote"]

    static func end(_ run: RunID) -> [RedisArgument] {
        [
            .init(run.rawValue), .init(instance), "completed", "0", "", "", "", "", "3600", "", "5", "/x", "hello", "0",
            "",
        ]
    }

    /// Every key with its content, but for the history and the script's own clock.
    func dump() async throws -> [String: [UInt8]] {
        let names = try await command("KEYS", "*").array?.compactMap(\.bytes) ?? []
        let replies = try await connection.send(
            names.map { RedisCommand(arguments: [Array("DUMP".utf8), $0]) },
            timeout: .seconds(20)
        )
        return Dictionary(uniqueKeysWithValues: zip(names, replies).map { ($0.text, $1.bytes ?? []) })
    }

    // MARK: What holds of records, whoever wrote what

    /// What is wrong with the records; empty is good.
    func check() async throws -> [String] {
        var findings: [String] = []
        let live = Set(try await command("ZRANGE", keys.live, "0", "-1").array?.compactMap(\.valid) ?? [])
        for name in try await command("KEYS", "interrupt/*").array?.compactMap(\.valid) ?? [] {
            let parts = name.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let id = String(parts[2])
            switch parts[1] {
            case "run": findings += try await check(run: id, isLive: live.contains(id))
            case "request":
                let value = try await command("GET", name).bytes ?? []
                do throws(MalformedSignal) { _ = try SignalMessage(json: value) } catch {
                    findings.append("\(name) cannot be read: \(error.reason)")
                }
            case "gate":
                let stage = try await command("HGET", name, "stage").text
                if !["1", "2", "3"].contains(stage) { findings.append("\(name) has stage \(stage ?? "none")") }
            case "holds", "group":
                for run in try await command("SMEMBERS", name).array?.compactMap(\.valid) ?? []
                where !live.contains(run) {
                    findings.append("\(name) has \(run), which is not live")
                }
            default: break
            }
        }
        for run in live where try await command("EXISTS", "interrupt/run/\(run)").integer == 0 {
            findings.append("\(run) is live and has no record")
        }
        return findings
    }

    private func check(run id: String, isLive: Bool) async throws -> [String] {
        var findings: [String] = []
        let reply = try await command("HGETALL", "interrupt/run/\(id)")
        guard let record = RunRecord(reply: reply) else { return ["run \(id) has no readable record: \(reply)"] }
        let state = try await command("HGET", "interrupt/run/\(id)", "state").text ?? ""
        if RunState(rawValue: state) == nil { findings.append("run \(id) has the state '\(state)'") }
        if record.state.isEnd == isLive { findings.append("run \(id) is \(record.state) and live is \(isLive)") }
        let lifetime = try await command("TTL", "interrupt/run/\(id)").integer ?? 0
        if record.state.isEnd != (lifetime > 0) {
            findings.append("run \(id) is \(record.state) with lifetime \(lifetime)")
        }
        let values = reply.array ?? []
        for index in stride(from: 0, to: values.count - 1, by: 2) {
            guard let name = values[index].text, let text = values[index + 1].text, !text.isEmpty else { continue }
            if name.hasSuffix("_at_ms") || name == "attempt" || name == "stage", Int64(text) == nil {
                findings.append("run \(id) has \(name) '\(text.prefix(40))'")
            }
        }
        return findings
    }
}

extension RESPValue {
    /// A text that is UTF-8: an id that is none cannot be asked for.
    fileprivate var valid: String? { bytes.flatMap { String(validating: $0, as: UTF8.self) } }
}

func withNamespace(_ body: (Namespace) async throws -> Void) async throws {
    try await withRedis { redis async throws in
        let namespace = try await Namespace(redis)
        defer { namespace.connection.close() }
        try await body(namespace)
    }
}
