import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

enum TransportKind: String, CaseIterable, Sendable { case memory, redis }

/// A transport, and what the other side does with its runs.
struct TransportStage: Sendable {
    let transport: any InterruptTransport
    let submit: @Sendable (RunOrder) async throws -> Void
    let pause: @Sendable (RunID, PauseRequest.Action) async throws -> PauseOutcome
    let interrupt: @Sendable (RunID, InterruptSignal) async throws -> Void
    let state: @Sendable (RunID) async throws -> RunState?
    let told: @Sendable (RunID) async throws -> (progress: WorkProgress?, holdout: Holdout?)
    /// Runs a body with the transport of another instance of the worker.
    let another: @Sendable (String, (any InterruptTransport) async throws -> Void) async throws -> Void

    func order(_ job: String, _ work: RunOrder.Work = .command([Array("sleep".utf8)])) throws -> RunOrder {
        RunOrder(run: .random(), job: try Name(job), queue: try Name("default"), work: work)
    }

    func started(_ job: String, _ work: RunOrder.Work = .command([Array("sleep".utf8)])) async throws -> RunOrder {
        let order = try order(job, work)
        try await submit(order)
        let offer = try #require(try await transport.offers(limit: 1).first)
        guard case .started(let started, _) = try await transport.start(offer, gracePeriod: .seconds(10)) else {
            throw Failure(description: "\(job) was not started")
        }
        return started
    }
}

func withStage(_ kind: TransportKind, _ body: (TransportStage) async throws -> Void) async throws {
    switch kind {
    case .memory:
        let transport = InMemoryTransport()
        try await body(
            TransportStage(
                transport: transport,
                submit: { transport.submit($0) },
                pause: { $1 == .pause ? transport.pause($0) : transport.resume($0) },
                interrupt: { transport.interrupt($0, $1) },
                state: { transport.run($0)?.state },
                told: { (transport.run($0)?.progress, transport.run($0)?.holdout) },
                another: { _, body in try await body(transport) }
            )
        )
    case .redis:
        try await withWatching(pollInterval: .milliseconds(200)) { watching in
            let scene = watching.scene
            try await body(
                TransportStage(
                    transport: watching.transport,
                    submit: { order in
                        var submission = Submission(job: order.job, queue: order.queue, command: [])
                        submission.work = order.work
                        submission.run = order.run
                        submission.limits = order.limits
                        submission.hooks = order.hooks
                        submission.chargesPausedTime = order.chargesPausedTime
                        submission.environment = order.environment
                        _ = try await scene.client.submit(submission)
                    },
                    pause: { try await scene.ask($1, $0) },
                    interrupt: { _ = try await scene.client.interrupt([.run($0)], $1) },
                    state: { try await scene.state($0) },
                    told: { run in
                        let record = try await scene.client.record(of: run)
                        let now = try await scene.client.serverTime()
                        return (record?.progress, record?.holdout(at: now))
                    },
                    another: { instance, body in
                        let transport = RedisTransport(
                            endpoint: scene.redis.endpoint,
                            keys: scene.keys,
                            worker: try Name("w1"),
                            instance: instance,
                            queues: [try Name("default")],
                            connection: .patient,
                            logger: watching.lines.logger
                        )
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { await transport.run() }
                            defer { group.cancelAll() }
                            try await body(transport)
                        }
                    }
                )
            )
        }
    }
}
