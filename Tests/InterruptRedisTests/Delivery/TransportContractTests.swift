import InterruptCore
import Testing

@testable import InterruptRedis

/// What a transport promises of runs and of its name, whichever it is.
@Suite(.serialized, .timeLimit(.minutes(1))) struct `Every transport` {
    @Test(arguments: TransportKind.allCases)
    func `offers what was submitted, in order, and no more than was asked for`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let orders = [try stage.order("a"), try stage.order("b"), try stage.order("c")]
            for order in orders { try await stage.submit(order) }
            let first = try await stage.transport.offers(limit: 2)
            let rest = try await stage.transport.offers(limit: 2)
            #expect((first + rest).map(\.run) == orders.map(\.run))
            #expect(first.count == 2)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func `lets an offer that was given back claim nothing`(kind: TransportKind) async throws {
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

    @Test(arguments: TransportKind.allCases)
    func `starts a run with what was submitted`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            #expect(order.job == (try Name("a")) && order.work == .command([Array("sleep".utf8)]))
            #expect(try await stage.state(order.run) == .running)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func `hands on the limits, the hooks and how paused time counts, beside the environment`(kind: TransportKind)
        async throws
    {
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

    @Test(arguments: TransportKind.allCases)
    func `starts a run of a handler with its input`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let work = RunOrder.Work.handler(try Name("resize"), input: "{\"width\": 1}\n")
            #expect(try await stage.started("a", work).work == work)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func `takes an outcome that has waited, and says whether it knows the run`(kind: TransportKind) async throws {
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

    @Test(arguments: TransportKind.allCases)
    func `keeps what a run tells, and nothing once it has ended`(kind: TransportKind) async throws {
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

    @Test(arguments: TransportKind.allCases)
    func `offers again what is given back`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let order = try stage.order("a")
            try await stage.submit(order)
            try await stage.transport.giveBack(try await stage.transport.offers(limit: 1))
            #expect(try await stage.transport.offers(limit: 1).map(\.run) == [order.run])
        }
    }

    @Test(arguments: TransportKind.allCases)
    func `keeps the first end, and ignores what comes after it`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let order = try await stage.started("a")
            try await stage.transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0))
            try await stage.transport.end(order.run, as: RunEnding(state: .failed, exitCode: 1))
            try await stage.transport.acknowledge(InterruptSignal(), way: .push, for: order.run)
            #expect(try await stage.state(order.run) == .completed)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func `gives its name to one instance, until that is proven dead`(kind: TransportKind) async throws {
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
