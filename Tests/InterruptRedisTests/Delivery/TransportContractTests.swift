import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

/// What a transport promises, whichever it is.
private struct Stage: Sendable {
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

@Suite(.serialized, .timeLimit(.minutes(1))) struct `Every transport` {
    enum Kind: String, CaseIterable, Sendable { case memory, redis }

    private func withStage(_ kind: Kind, _ body: (Stage) async throws -> Void) async throws {
        switch kind {
        case .memory:
            let transport = InMemoryTransport()
            try await body(
                Stage(
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
                    Stage(
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

    @Test(arguments: Kind.allCases)
    func `offers what was submitted, in order, and no more than was asked for`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let orders = [try stage.order("a"), try stage.order("b"), try stage.order("c")]
            for order in orders { try await stage.submit(order) }
            let first = try await stage.transport.offers(limit: 2)
            let rest = try await stage.transport.offers(limit: 2)
            #expect((first + rest).map(\.run) == orders.map(\.run))
            #expect(first.count == 2)
        }
    }

    @Test(arguments: Kind.allCases)
    func `lets an offer that was given back claim nothing`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try stage.order("a")
            try await stage.submit(order)
            let offer = try #require(try await stage.transport.offers(limit: 1).first)
            for _ in 0..<2 { try await stage.transport.giveBack([offer]) }
            guard case .gone = try await stage.transport.start(offer, gracePeriod: .seconds(10)) else {
                throw Failure(description: "it was claimed")
            }
            #expect(try await stage.state(order.run) == .queued)
            let again = try await stage.transport.offers(limit: 9)
            #expect(again.map(\.run) == [order.run])
            guard case .started = try await stage.transport.start(again[0], gracePeriod: .seconds(10)) else {
                throw Failure(description: "it was not started")
            }
            // What was claimed stays.
            try await stage.transport.giveBack(again)
            #expect(try await stage.state(order.run) == .running)
        }
    }

    @Test(arguments: Kind.allCases)
    func `starts a run with what was submitted`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            #expect(order.job == (try Name("a")) && order.work == .command([Array("sleep".utf8)]))
            #expect(try await stage.state(order.run) == .running)
        }
    }

    @Test(arguments: Kind.allCases)
    func `hands on the limits, the hooks and how paused time counts, beside the environment`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let hooks = RunHooks(onInterrupt: "echo 'a b'\n", onEnd: "true; \u{1}", limit: .seconds(3))
            for isFull in [true, false] {
                var order = try stage.order("job-\(isFull)")
                order.environment = ["A": [0x31], "B": [0xFF]]
                if isFull {
                    order.limits = RunLimits(memory: 1 << 40, cpuTime: .milliseconds(1_500), processes: 7, output: 9)
                    order.hooks = hooks
                    order.chargesPausedTime = true
                } else {
                    order.hooks.onEnd = "x"
                }
                try await stage.submit(order)
                let offer = try #require(try await stage.transport.offers(limit: 1).first)
                let result = try await stage.transport.start(offer, gracePeriod: .seconds(10))
                guard case .started(let started, _) = result else { return }
                #expect(started.limits == order.limits && started.hooks == order.hooks)
                #expect(started.chargesPausedTime == isFull && started.environment == order.environment)
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `starts a run of a handler with its input`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let work = RunOrder.Work.handler(try Name("resize"), input: "{\"width\": 1}\n")
            #expect(try await stage.started("a", work).work == work)
        }
    }

    @Test(arguments: Kind.allCases)
    func `takes an outcome that has waited, and says whether it knows the run`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            let receipt = WaitingOutcome.Receipt(signal: InterruptSignal(), way: .local)
            var outcome = WaitingOutcome(run: order.run, instance: "i1", receipts: [receipt])
            #expect(stage.transport.isReachable)
            #expect(try await stage.transport.record(outcome))
            #expect(try await stage.state(order.run) == .cancelling)
            outcome.ending = RunEnding(state: .interrupted, termSignal: 15)
            for _ in 0..<2 { #expect(try await stage.transport.record(outcome)) }
            #expect(try await stage.state(order.run) == .interrupted)
            outcome.ending = RunEnding(state: .completed, exitCode: 0)
            #expect(try await stage.transport.record(outcome))
            #expect(try await stage.state(order.run) == .interrupted, "an end is final")
            outcome.run = .random()
            #expect(try await !stage.transport.record(outcome))
            #expect(try await stage.state(outcome.run) == nil)
        }
    }

    @Test(arguments: Kind.allCases)
    func `keeps what a run tells, and nothing once it has ended`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a", .handler(try Name("resize"), input: ""))
            for part in [0.25, 0.5] { try await stage.transport.publish(try WorkProgress(part, "m"), of: order.run) }
            let holdout = Holdout(section: "load", lastCheckpoint: "c", elapsed: .seconds(2))
            try await stage.transport.publish(holdout, of: order.run)
            let told = try await stage.told(order.run)
            #expect(told.progress == (try WorkProgress(0.5, "m")))
            #expect(told.holdout?.section == "load" && told.holdout?.lastCheckpoint == "c")
            #expect(told.holdout?.elapsed ?? .zero >= .seconds(2))
            try await stage.transport.end(order.run, as: RunEnding(state: .completed))
            try await stage.transport.publish(try WorkProgress(1), of: order.run)
            #expect(try await stage.told(order.run).progress == (try WorkProgress(0.5, "m")))
        }
    }

    @Test(arguments: Kind.allCases)
    func `never starts a queued run that was interrupted`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try stage.order("a")
            try await stage.submit(order)
            let offer = try #require(try await stage.transport.offers(limit: 1).first)
            try await stage.interrupt(order.run, InterruptSignal())
            #expect(try await stage.transport.start(offer, gracePeriod: .seconds(10)) == .gone)
            #expect(try await stage.state(order.run) == .interrupted)
        }
    }

    @Test(arguments: Kind.allCases)
    func `offers again what is given back`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try stage.order("a")
            try await stage.submit(order)
            try await stage.transport.giveBack(try await stage.transport.offers(limit: 1))
            #expect(try await stage.transport.offers(limit: 1).map(\.run) == [order.run])
        }
    }

    @Test(arguments: Kind.allCases)
    func `delivers an interrupt that came before the watch, and one that comes after`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            for isEarly in [true, false] {
                let order = try await stage.started("early-\(isEarly)")
                let deliveries = Deliveries()
                let signal = InterruptSignal(reason: .timeout, message: "m")
                if isEarly { try await stage.interrupt(order.run, signal) }
                stage.transport.watch(order) { deliveries.add($0, $1) }
                if !isEarly { try await stage.interrupt(order.run, signal) }
                let delivery = try #require(await deliveries.first())
                #expect(delivery.signal.id == signal.id && delivery.signal.reason == .timeout)
                stage.transport.unwatch(order.run)
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `makes a run cancelling with the receipt of stage 2 and not of stage 1`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            let drain = InterruptSignal(stage: .drain)
            try await stage.interrupt(order.run, drain)
            try await stage.transport.acknowledge(drain, way: .push, for: order.run)
            #expect(try await stage.state(order.run) == .running)
            let harder = InterruptSignal(stage: .terminate)
            try await stage.interrupt(order.run, harder)
            #expect(try await stage.state(order.run) == .running)
            try await stage.transport.acknowledge(harder, way: .push, for: order.run)
            #expect(try await stage.state(order.run) == .cancelling)
        }
    }

    @Test(arguments: Kind.allCases)
    func `tells of a pause and of its end, and keeps what became of them`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            let pausings = Pausings()
            #expect(try await stage.pause(order.run, .resume) == .already)
            stage.transport.watch(order, pausing: pausings.add) { _, _ in }
            for (count, action) in [PauseRequest.Action.pause, .resume].enumerated() {
                let isPause = action == .pause
                #expect(try await stage.pause(order.run, action) == .recorded)
                #expect(try await stage.pause(order.run, action) == .already)
                await pausings.told(count + 1)
                #expect(try await stage.state(order.run) == (isPause ? .running : .paused))
                try await stage.transport.record(isPaused: isPause, of: order.run)
                #expect(try await stage.state(order.run) == (isPause ? .paused : .running))
            }
            #expect(pausings.all == [true, false])
            #expect(try await stage.pause(order.run, .pause) == .recorded)
            #expect(try await stage.pause(order.run, .resume) == .withdrawn)
            try await stage.transport.record(isPaused: true, of: order.run)
            #expect(try await stage.state(order.run) == .running)
            _ = try await stage.pause(order.run, .pause)
            try await stage.transport.record(isPaused: true, of: order.run)
            try await stage.transport.acknowledge(InterruptSignal(), way: .push, for: order.run)
            #expect(try await stage.state(order.run) == .cancelling)
            #expect(try await stage.pause(order.run, .pause) == .cancelling)
            try await stage.transport.record(isPaused: false, of: order.run)
            #expect(try await stage.state(order.run) == .cancelling)
            try await stage.transport.end(order.run, as: RunEnding(state: .interrupted))
            #expect(try await stage.pause(order.run, .resume) == .ended)
        }
    }

    @Test(arguments: Kind.allCases)
    func `pauses neither what is queued nor a function`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let function = try await stage.started("a", .handler(try Name("resize"), input: ""))
            #expect(try await stage.pause(function.run, .pause) == .handler)
            let queued = try stage.order("b")
            try await stage.submit(queued)
            #expect(try await stage.pause(queued.run, .pause) == .queued)
            #expect(try await stage.pause(.random(), .pause) == .missing)
        }
    }

    @Test(arguments: Kind.allCases)
    func `keeps the first end, and ignores what comes after it`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            try await stage.transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0))
            try await stage.transport.end(order.run, as: RunEnding(state: .failed, exitCode: 1))
            try await stage.transport.acknowledge(InterruptSignal(), way: .push, for: order.run)
            #expect(try await stage.state(order.run) == .completed)
        }
    }

    @Test(arguments: Kind.allCases)
    func `gives its name to one instance, until that is proven dead`(kind: Kind) async throws {
        try await withStage(kind) { stage in
            func worker(_ instance: String) throws -> WorkerDescription {
                WorkerDescription(
                    name: try Name("w1"),
                    instance: instance,
                    host: "h",
                    process: ProcessIdentity(boot: "b", pid: 7, start: 1),
                    slots: 1,
                    version: "1",
                    queues: [],
                    lease: .seconds(30)
                )
            }
            func expectRefusal(
                of instance: String,
                by transport: any InterruptTransport,
                replacing dead: String? = nil,
                holder: String
            ) async {
                let process = ProcessIdentity(boot: "b", pid: 7, start: 1)
                let holder = NameHolder(instance: holder, host: "h", process: process)
                await #expect(throws: TransportError.nameInUse(by: holder)) {
                    _ = try await transport.enter(try worker(instance), replacing: dead)
                }
            }
            // The transport over Redis is one instance's own, and enters as that.
            _ = try await stage.transport.enter(try worker("i1"), replacing: nil)
            #expect(try await stage.transport.enter(try worker("i1"), replacing: nil).isEmpty, "a repetition")
            _ = try await stage.transport.heartbeat(running: 0, live: [])
            let left = try await stage.started("a")
            try await stage.another("i2") { other in
                await expectRefusal(of: "i2", by: other, holder: "i1")
                await expectRefusal(of: "i2", by: other, replacing: "i0", holder: "i1")
                // Now the first one is proven dead.
                #expect(try await other.enter(try worker("i2"), replacing: "i1").map(\.run) == [left.run])
                await expectRefusal(of: "i1", by: stage.transport, holder: "i2")
                try await other.lose(left.run, why: "its worker is dead")
                await other.leave()
            }
            #expect(try await stage.state(left.run) == .lost)
            #expect(try await stage.transport.enter(try worker("i1"), replacing: nil).isEmpty)
            await stage.transport.leave()
        }
    }
}
