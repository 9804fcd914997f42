import InterruptCore
import InterruptTesting
import Logging
import Synchronization
import Testing

@testable import InterruptRedis

/// What was delivered to one run.
final class Deliveries: Sendable {
    struct Delivery: Sendable {
        var signal: InterruptSignal
        var way: DeliveryWay
        var at = ContinuousClock.now
    }

    private let list = Mutex<[Delivery]>([])
    private let wakeup = Wakeup()

    func add(_ signal: InterruptSignal, _ way: DeliveryWay) {
        list.withLock { $0.append(Delivery(signal: signal, way: way)) }
        wakeup.signal()
    }

    var all: [Delivery] { list.withLock { $0 } }

    /// The first delivery; `nil` when the test's time is over. One task at a time may ask.
    func first() async -> Delivery? {
        while !Task.isCancelled {
            if let first = all.first { return first }
            await wakeup.wait()
        }
        return all.first
    }
}

/// A transport that runs for the length of a test.
struct Watching: Sendable {
    let scene: Scene
    let transport: RedisTransport
    let lines: LogLines

    /// Submits a run, lets the transport start it, and watches it.
    func run(_ job: String, groups: [String] = [], queue: String = "default") async throws -> (RunID, Deliveries) {
        let (order, pending) = try await start(job, groups: groups, queue: queue)
        let deliveries = Deliveries()
        for signal in pending { deliveries.add(signal, .start) }
        transport.watch(order) { deliveries.add($0, $1) }
        return (order.run, deliveries)
    }

    func start(
        _ job: String,
        groups: [String] = [],
        queue: String = "default"
    ) async throws -> (RunOrder, [InterruptSignal]) {
        try await scene.submit(job, groups: groups, queue: queue)
        // What waits to be claimed six seconds after the connect is put back once, and offered again.
        for _ in 0..<2 {
            let offer = try #require(try await transport.offers(limit: 1).first)
            if case .started(let order, let pending) = try await transport.claim(offer) { return (order, pending) }
        }
        throw Failure(description: "\(job) was not started")
    }

    /// Waits until the subscription stands, and until the server tracks this many keys.
    func isReady(tracking keys: Int64? = nil) async throws {
        try await scene.until {
            try await scene.command("PUBSUB", "NUMSUB", "interrupt:signals:w1").array?.last?.integer == 1
        }
        try await scene.until { transport.checker.board.subscription != nil }
        guard let keys else { return }
        try await scene.until { try await scene.info("stats", "tracking_total_keys") >= keys }
    }

    /// Waits until nothing but the poll reads keys: the readings after the connects and for a new run are over.
    func isOnlyPolling() async throws {
        try await scene.until { transport.checker.board.subscription != nil }
        let polls = try await scene.polls()
        // One may have been under way.
        try await scene.until { try await scene.polls() > polls + 1 }
    }

    /// Ends the transport's connections of one kind.
    func kill(_ name: String) async throws {
        for command in try await kills(of: name) { try await scene.connection.send(command) }
    }

    /// Ends the connections and interrupts in one write, so that no new connection gets between the two.
    func kill(_ name: String, andInterrupt run: RunID, _ signal: InterruptSignal) async throws {
        let interrupt = RedisScripts.interrupt.bySource(
            keys: ["interrupt/history"],
            arguments: ["interrupt"] + signal.arguments + ["", "run", RedisArgument(run.rawValue), ""]
        )
        let replies = try await scene.connection.send(try await kills(of: name) + [interrupt])
        try #require(replies.allSatisfy { $0.errorText == nil })
    }

    private func kills(of name: String) async throws -> [RedisCommand] {
        let list = try await scene.command("CLIENT", "LIST").text ?? ""
        return list.split(separator: "\n").filter { $0.contains(" name=\(name) ") }.map { line in
            let id = line.split(separator: " ")[0].dropFirst("id=".count)
            return RedisCommand("CLIENT", "KILL", "ID", RedisArgument(String(id)))
        }
    }
}

extension RedisTransport {
    /// Claims an offer as soon as it can be sent, as a worker does.
    func claim(_ offer: RunOffer) async throws -> StartResult {
        var result: StartResult?
        try await eventually("\(offer.run) can be claimed") {
            do throws(TransportError) {
                result = try await start(offer, gracePeriod: .seconds(10))
            } catch {
                guard case .unavailable = error else { throw error }
            }
            return result != nil
        }
        return try #require(result)
    }
}

struct Failure: Error {
    let description: String
}

extension Scene {
    /// A number from INFO.
    func info(_ section: String, _ name: String) async throws -> Int64 {
        let text = try await command("INFO", section).text ?? ""
        let line = text.split(separator: "\r\n").first { $0.hasPrefix(name + ":") }
        return line.flatMap { Int64($0.dropFirst(name.count + 1)) } ?? 0
    }
}

/// Runs a transport of worker `w1` that uses these ways only.
func withWatching<R>(
    ways: Set<DeliveryWay>? = nil,
    pollInterval: Duration = .seconds(3_600),
    probeInterval: Duration = .seconds(3_600),
    queues: [String] = ["default"],
    signingKey: SigningKey? = nil,
    redis arguments: [String] = [],
    endpoint: (TestRedis) -> RedisEndpoint = { $0.endpoint },
    connection: RedisConnectionConfiguration = .patient,
    prepare: (Scene) async throws -> Void = { _ in },
    _ body: (Watching) async throws -> R
) async throws -> R {
    try await withScene(arguments: arguments) { scene in
        try await prepare(scene)
        var checking = RedisInterruptChecker.Configuration()
        checking.pollInterval = pollInterval
        checking.probeInterval = probeInterval
        checking.signingKey = signingKey
        if let ways { checking.ways = ways }
        let lines = LogLines()
        let transport = RedisTransport(
            endpoint: endpoint(scene.redis),
            keys: scene.keys,
            worker: try Name("w1"),
            instance: "i1",
            queues: try queues.map { try Name($0) },
            checking: checking,
            connection: connection,
            logger: lines.logger
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await transport.run() }
            defer { group.cancelAll() }
            _ = try await transport.enter(
                WorkerDescription(
                    name: try Name("w1"),
                    instance: "i1",
                    host: "here",
                    process: ProcessIdentity(boot: "b", pid: 1, start: 1),
                    slots: 4,
                    version: "1",
                    queues: try queues.map { try Name($0) },
                    lease: .seconds(30)
                ),
                replacing: nil
            )
            return try await body(Watching(scene: scene, transport: transport, lines: lines))
        }
    }
}
