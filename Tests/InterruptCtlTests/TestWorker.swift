import InterruptCore
import InterruptRedis
import InterruptTesting
import Logging
import Synchronization

/// A worker that runs nothing: it claims what is queued, and the test says what becomes of it.
final class TestWorker: Sendable {
    let transport: RedisTransport
    /// The runs that were claimed, in order.
    let started: AsyncStream<RunOrder>
    private let feed: AsyncStream<RunOrder>.Continuation
    /// How interrupts are answered; `false` leaves them without a receipt.
    private let answers: Bool

    init(redis: TestRedis, answers: Bool = true) throws {
        transport = RedisTransport(
            endpoint: redis.endpoint,
            keys: try RedisKeys(),
            worker: try Name("alpha"),
            instance: "i1",
            queues: [try Name("default")],
            connection: .patient,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        (started, feed) = AsyncStream.makeStream(of: RunOrder.self)
        self.answers = answers
    }

    /// Claims runs and acknowledges what comes for them; a stage of 2 or harder ends the run as interrupted.
    func serve() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.transport.run() }
            group.addTask { try await self.claim() }
            try await group.next()
            group.cancelAll()
        }
    }

    private func claim() async throws {
        let description = WorkerDescription(
            name: try Name("alpha"),
            instance: "i1",
            host: "box",
            process: ProcessIdentity(boot: "b", pid: 42, start: 1),
            slots: 4,
            version: "0.1.0",
            queues: [try Name("default")],
            lease: .seconds(30)
        )
        _ = try await transport.enter(description, replacing: nil)
        let (signals, deliver) = AsyncStream.makeStream(of: (RunID, InterruptSignal, DeliveryWay).self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await (run, signal, way) in signals where self.answers {
                    try await self.transport.acknowledge(signal, way: way, for: run)
                    if signal.stage > .drain {
                        try await self.transport.end(run, as: RunEnding(state: .interrupted, termSignal: 15))
                        self.transport.unwatch(run)
                    }
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    for offer in try await self.transport.offers(limit: 4) {
                        let result = try await self.transport.start(offer, gracePeriod: .seconds(10))
                        guard case .started(let order, _) = result else { continue }
                        self.transport.watch(order) { deliver.yield((order.run, $0, $1)) }
                        self.feed.yield(order)
                    }
                }
            }
            try await group.next()
            group.cancelAll()
        }
    }
}
