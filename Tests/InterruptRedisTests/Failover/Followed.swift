import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

/// A worker's transport and somebody who submits and interrupts, both on servers that change under them.
struct Followed: Sendable {
    let keys: RedisKeys
    let transport: RedisTransport
    let client: RedisClient
    let interrupts: InterruptClient
    let lines: LogLines

    func submission(_ job: String) throws -> Submission {
        Submission(job: try Name(job), queue: try Name("default"), command: [Array("x".utf8)])
    }

    /// Submits a run, lets the transport start it, and watches it.
    func run(_ job: String) async throws -> (RunID, Deliveries) {
        let submission = try submission(job)
        try #require(try await interrupts.submit(submission) == .queued(submission.run))
        let offer = try #require(try await transport.offers(limit: 1).first)
        guard case .started(let order, _) = try await transport.claim(offer) else {
            throw Failure(description: "\(job) was not started")
        }
        let deliveries = Deliveries()
        transport.watch(order) { deliveries.add($0, $1) }
        return (order.run, deliveries)
    }

    func runs(_ count: Int) async throws -> [(RunID, Deliveries)] {
        var runs: [(RunID, Deliveries)] = []
        for number in 0..<count { runs.append(try await run("j\(number)")) }
        return runs
    }

    /// Asks for an interrupt until its worker's receipt is on record, as `interruptctl cancel` does. Returns whatever else
    /// than "not now" it was told.
    func insist(on run: RunID, _ signal: InterruptSignal) async throws -> [RedisError] {
        var refusals: [RedisError] = []
        while true {
            do throws(RedisError) {
                if try await interrupts.record(of: run)?.stage != nil { return refusals }
                _ = try await interrupts.interrupt([.run(run)], signal)
            } catch {
                if error.code == .cancelled { throw error }
                if error.code == .reply || error.code == .wrongSettings { refusals.append(error) }
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Writes the receipt of the first delivery, as often as it takes.
    func acknowledge(_ deliveries: Deliveries, of run: RunID) async throws {
        guard let first = await deliveries.first() else { throw CancellationError() }
        while true {
            do throws(TransportError) {
                return try await transport.acknowledge(first.signal, way: first.way, for: run)
            } catch {
                guard case .unavailable = error else { throw error }
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The names of all connections to a server; `nil` when it closes the one that asks, as in a fail-over.
    static func connections(to server: LoopbackServer) async -> Set<String>? {
        guard let list = (try? await server.command("CLIENT", "LIST"))?.text else { return nil }
        let names = list.split(whereSeparator: \.isWhitespace).filter { $0.hasPrefix("name=") && $0 != "name=" }
        return Set(names.map { String($0.dropFirst("name=".count)) })
    }

    /// What a worker's connections are called.
    static let worker: Set = ["interruptd:w1", "interrupt-push:w1", "interrupt-queue:w1"]
}

func withFollowed<R>(
    _ endpoint: RedisEndpoint,
    namespace: String = RedisKeys.defaultNamespace,
    ways: Set<DeliveryWay> = Set(DeliveryWay.allCases),
    pollInterval: Duration = .seconds(1),
    connection: RedisConnectionConfiguration = .patient,
    _ body: (Followed) async throws -> R
) async throws -> R {
    let keys = try RedisKeys(namespace: namespace)
    var endpoint = endpoint
    endpoint.keys = keys
    var checking = RedisInterruptChecker.Configuration()
    checking.ways = ways
    checking.pollInterval = pollInterval
    let lines = LogLines()
    let client = RedisClient(endpoint: endpoint, configuration: connection)
    let followed = Followed(
        keys: keys,
        transport: RedisTransport(
            endpoint: endpoint,
            keys: keys,
            worker: try Name("w1"),
            instance: "i1",
            queues: [try Name("default")],
            checking: checking,
            connection: connection,
            logger: lines.logger
        ),
        client: client,
        interrupts: InterruptClient(commands: client, keys: keys),
        lines: lines
    )
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await client.run() }
        group.addTask { await followed.transport.run() }
        defer { group.cancelAll() }
        _ = try await followed.transport.enter(
            WorkerDescription(
                name: try Name("w1"),
                instance: "i1",
                host: "here",
                process: ProcessIdentity(boot: "b", pid: 1, start: 1),
                slots: 4,
                version: "1",
                queues: [try Name("default")],
                lease: .seconds(30)
            ),
            replacing: nil
        )
        return try await body(followed)
    }
}
