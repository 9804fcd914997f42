import InterruptCore
import InterruptTesting
import Logging
import Synchronization
import Testing

@testable import InterruptRedis

/// A server, one connection to it, and the contract on them.
struct Scene: Sendable {
    let redis: TestRedis
    let connection: RedisConnection
    let keys: RedisKeys
    let client: InterruptClient

    func another() async throws -> Scene {
        try await Scene(redis: redis, endpoint: redis.endpoint, namespace: keys.namespace)
    }

    init(redis: TestRedis, endpoint: RedisEndpoint, namespace: String = RedisKeys.defaultNamespace) async throws {
        self.redis = redis
        connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
        keys = try RedisKeys(namespace: namespace)
        client = InterruptClient(commands: connection, keys: keys)
    }

    /// The same, with what is asked signed.
    private init(_ scene: Scene, signingKey: SigningKey) {
        (redis, connection, keys) = (scene.redis, scene.connection, scene.keys)
        client = InterruptClient(commands: connection, keys: keys, signingKey: signingKey)
    }

    func signing(with key: SigningKey) -> Scene { Scene(self, signingKey: key) }

    @discardableResult
    func command(_ words: String...) async throws -> RESPValue {
        try await connection.send(RedisCommand(arguments: words.map { Array($0.utf8) }))
    }

    func submission(_ job: String, groups: [String] = [], queue: String = "default") throws -> Submission {
        var submission = Submission(job: try Name(job), queue: try Name(queue), command: [Array("sleep".utf8)])
        submission.groups = try groups.map { try Name($0) }
        return submission
    }

    @discardableResult
    func submit(_ job: String, groups: [String] = [], queue: String = "default") async throws -> RunID {
        let submission = try submission(job, groups: groups, queue: queue)
        #expect(try await client.submit(submission) == .queued(submission.run))
        return submission.run
    }

    /// Submits a run and lets the worker start it.
    func running(_ job: String, groups: [String] = [], on worker: ScriptWorker) async throws -> RunID {
        let run = try await submit(job, groups: groups)
        try await worker.startAll()
        #expect(try await state(run) == .running)
        return run
    }

    func interrupt(_ run: RunID, _ signal: InterruptSignal) async throws -> InterruptReceipt {
        try #require(try await client.interrupt([.run(run)], signal).first)
    }

    func state(_ run: RunID) async throws -> RunState? { try await client.record(of: run)?.state }

    func events(of run: RunID) async throws -> [String] {
        try await client.history(limit: 10_000) { $0.fields["run"] == run.rawValue }.map(\.event)
    }

    func exists(_ key: String) async throws -> Bool { try await command("EXISTS", key).integer == 1 }

    /// Every key with its content and whether it has a lifetime.
    func dump() async throws -> [String: String] {
        var dump: [String: String] = [:]
        for key in try await command("KEYS", "*").array?.compactMap(\.text) ?? [] {
            let content = try await command("DUMP", key).bytes ?? []
            let hasLifetime = try await command("TTL", key).integer != -1
            dump[key] = "\(hasLifetime) \(content)"
        }
        return dump
    }

    /// Waits until the server shows what is expected of it; a server tells in no other way.
    func until(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }
}

func withScene<R>(
    namespace: String = RedisKeys.defaultNamespace,
    arguments: [String] = [],
    _ body: (Scene) async throws -> R
) async throws -> R {
    try await withRedis(arguments: arguments) { redis in
        let scene = try await Scene(redis: redis, endpoint: redis.endpoint, namespace: namespace)
        defer { scene.connection.close() }
        return try await body(scene)
    }
}

/// A worker without processes: it calls the scripts one by one.
struct ScriptWorker: Sendable {
    let scene: Scene
    let name: Name
    let instance: String
    let queues: [String]

    init(_ scene: Scene, _ name: String = "w1", instance: String = "i1", queues: [String] = ["default"]) async throws {
        self.scene = scene
        self.name = try Name(name)
        self.instance = instance
        self.queues = queues
        for queue in queues {
            _ = try? await scene.command("XGROUP", "CREATE", "interrupt/queue/\(queue)", "workers", "0", "MKSTREAM")
        }
        let reply = try await scene.client.evaluate(RedisScripts.enter, [.init(name), .init(instance), ""])
        #expect(reply.array?.first?.text == "entered")
    }

    /// The same name in another instance, which has not entered.
    init(_ other: ScriptWorker, instance: String) {
        (scene, name, queues) = (other.scene, other.name, other.queues)
        self.instance = instance
    }

    func script(_ script: RedisScript, _ arguments: [RedisArgument]) async throws(RedisError) -> RESPValue {
        try await scene.client.evaluate(script, arguments)
    }

    func offers(limit: Int = 1_000) async throws -> [RunOffer] {
        var offers: [RunOffer] = []
        for queue in queues {
            let reply = try await scene.command(
                "XREADGROUP",
                "GROUP",
                "workers",
                name.description,
                "COUNT",
                "\(limit)",
                "STREAMS",
                "interrupt/queue/\(queue)",
                ">"
            )
            for entry in reply.array?.first?.array?.last?.array ?? [] {
                let parts = try #require(entry.array)
                let run = try #require(parts[1].array?.last?.text)
                let offer = RunOffer(run: RunID(rawValue: run), queue: try Name(queue), entry: parts[0].text ?? "")
                offers.append(offer)
            }
        }
        return offers
    }

    func start(_ offer: RunOffer, gracePeriod: Duration = .seconds(10)) async throws -> RESPValue {
        try await script(
            RedisScripts.start,
            [
                .init(offer.run.rawValue), .init(offer.queue.description), .init(offer.entry), .init(name.description),
                .init(instance), .init(gracePeriod.milliseconds),
            ]
        )
    }

    @discardableResult
    func startAll() async throws -> [RunID] {
        var started: [RunID] = []
        for offer in try await offers() where try await start(offer).array?.first?.text == "started" {
            started.append(offer.run)
        }
        return started
    }

    func acknowledge(_ signal: InterruptSignal, _ run: RunID, way: DeliveryWay = .push) async throws -> String? {
        let more: [RedisArgument] = [.init(run.rawValue), .init(instance), .init(way.rawValue)]
        return try await script(RedisScripts.acknowledge, signal.arguments + more).text
    }

    func end(
        _ run: RunID,
        _ state: String = "completed",
        exitCode: String = "0",
        error: String = "",
        more: [RedisArgument] = []
    ) async throws -> String? {
        let fields: [RedisArgument] = [.init(state), .init(exitCode), "", "", "", .init(error), "3600"]
        return try await script(RedisScripts.end, [.init(run.rawValue), .init(instance)] + fields + more).text
    }

    func heartbeat() async throws -> String? {
        try await script(RedisScripts.heartbeat, [.init(name.description), .init(instance), "0", "0"]).text
    }

    func lose(_ run: RunID) async throws -> String? {
        try await script(RedisScripts.lose, [.init(run.rawValue), .init(instance), "gone", "3600"]).text
    }
}

/// What a subscription of its own has heard.
struct Heard: Sendable {
    private final class Messages: Sendable {
        let list = Mutex<[RedisPush]>([])
    }

    private let messages = Messages()
    private let connection: RedisConnection

    init(_ scene: Scene, _ channels: [String]) async throws {
        connection = try await RedisConnection.connect(to: scene.redis.endpoint, configuration: .patient)
        try await connection.subscribe(channels) { [messages] push in messages.list.withLock { $0.append(push) } }
    }

    /// Everything that was published before the call.
    func all() async throws -> [RedisPush] {
        try await connection.ping()
        return messages.list.withLock { $0 }
    }
}

/// Keeps log lines for a look.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func count(_ text: String) -> Int { all.count { $0.contains(text) } }

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.lines.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
        }
    }
}
