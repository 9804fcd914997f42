import InterruptCore
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct `In-memory transport` {
    private let transport = InMemoryTransport()

    private func order() throws -> RunOrder {
        RunOrder(run: .random(), job: try Name("job"), queue: try Name("q"), work: .command([Array("true".utf8)]))
    }

    private func worker(_ instance: String) throws -> WorkerDescription {
        WorkerDescription(
            name: try Name("w"),
            instance: instance,
            host: "h",
            process: ProcessIdentity(boot: "b", pid: 1, start: 1),
            slots: 1,
            version: "0",
            queues: [try Name("q")],
            lease: .seconds(3)
        )
    }

    @Test func `offers come in order, at most as many as asked for`() async throws {
        let orders = try (0..<3).map { _ in try order() }
        for order in orders { transport.submit(order) }
        #expect(try await transport.offers(limit: 2).map(\.run) == orders.prefix(2).map(\.run))
        #expect(try await transport.offers(limit: 2).map(\.run) == [orders[2].run])
    }

    @Test func `waiting for offers ends with a submission or a cancellation`() async throws {
        let order = try order()
        async let offers = transport.offers(limit: 1)
        transport.submit(order)
        #expect(try await offers.map(\.run) == [order.run])
        let task = Task { try await transport.offers(limit: 1) }
        task.cancel()
        #expect(try await task.value.isEmpty)
    }

    @Test func `a queued run that is interrupted never starts`() async throws {
        let order = try order()
        transport.submit(order)
        let offer = try await transport.offers(limit: 1)[0]
        #expect(transport.interrupt(order.run, InterruptSignal()) == .first)
        #expect(try await transport.start(offer, gracePeriod: .seconds(10)) == .gone)
        #expect(transport.run(order.run)?.state == .interrupted)
        #expect(transport.run(order.run)?.receipts.map(\.way) == [.queued])
        #expect(transport.interrupt(order.run, InterruptSignal()) == nil)
    }

    @Test func `of a pause and a resume at once, the run is told last what was asked last`() async throws {
        let order = try order()
        transport.submit(order)
        let offer = try await transport.offers(limit: 1)[0]
        _ = try await transport.start(offer, gracePeriod: .seconds(10))
        let told = Mutex(false)
        transport.watch(order, pausing: { isToBePaused in told.withLock { $0 = isToBePaused } }, deliver: { _, _ in })
        for _ in 0..<100_000 {
            async let isPaused = transport.pause(order.run)
            async let isResumed = transport.resume(order.run)
            _ = await (isPaused, isResumed)
            try #require(told.withLock { $0 } == transport.run(order.run)?.isPauseAsked)
        }
    }

    @Test func `a claim may be asked for again by its instance until a process is recorded`() async throws {
        let order = try order()
        transport.submit(order)
        let offer = try await transport.offers(limit: 1)[0]
        _ = try await transport.enter(worker("one"), replacing: nil)
        var claimed = order
        claimed.gracePeriod = .seconds(10)
        #expect(try await transport.start(offer, gracePeriod: .seconds(10)) == .started(claimed, pending: []))
        #expect(try await transport.start(offer, gracePeriod: .seconds(20)) == .started(claimed, pending: []))
        let process = ProcessIdentity(boot: "b", pid: 7, start: 7)
        try await transport.spawned(order.run, process: process)
        #expect(try await transport.start(offer, gracePeriod: .seconds(10)) == .gone)

        await #expect(throws: TransportError.self) { try await transport.enter(worker("two"), replacing: nil) }
        let left = try await transport.enter(worker("two"), replacing: "one")
        #expect(left == [LeftRun(run: order.run, process: process)])
        #expect(try await transport.start(offer, gracePeriod: .seconds(10)) == .gone)
        try await transport.lose(order.run, why: "gone")
        #expect(transport.run(order.run)?.state == .lost)
    }

    @Test func `the first end stays, and one that was asked about too late says so`() async throws {
        let order = try order()
        transport.submit(order)
        _ = try await transport.start(try await transport.offers(limit: 1)[0], gracePeriod: .seconds(10))
        transport.interrupt(order.run, InterruptSignal())
        try await transport.end(order.run, as: RunEnding(state: .completed, exitCode: 0))
        try await transport.end(order.run, as: RunEnding(state: .failed, exitCode: 1))
        #expect(
            transport.run(order.run)?.ending == RunEnding(state: .completed, exitCode: 0, isLateInterrupt: true)
        )
    }

    @Test func `watching delivers what came before and what comes, until it ends`() async throws {
        let order = try order()
        transport.submit(order)
        _ = try await transport.start(try await transport.offers(limit: 1)[0], gracePeriod: .seconds(10))
        transport.interrupt(order.run, InterruptSignal(message: "before"))
        let seen = Mutex<[String]>([])
        transport.watch(order) { signal, way in seen.withLock { $0.append("\(signal.message ?? "") \(way)") } }
        transport.interrupt(order.run, InterruptSignal(stage: .kill, message: "after"))
        transport.unwatch(order.run)
        transport.interrupt(order.run, InterruptSignal(message: "unwatched"))
        #expect(seen.withLock { $0 } == ["before start", "after push"])
    }

    @Test func `a receipt of stage 2 makes a run cancelling, one of stage 1 does not`() async throws {
        let order = try order()
        transport.submit(order)
        _ = try await transport.start(try await transport.offers(limit: 1)[0], gracePeriod: .seconds(10))
        try await transport.acknowledge(InterruptSignal(stage: .drain), way: .push, for: order.run)
        #expect(transport.run(order.run)?.state == .running)
        try await transport.acknowledge(InterruptSignal(), way: .push, for: order.run)
        #expect(transport.run(order.run)?.state == .cancelling)
    }

    @Test func `offers that are given back are offered again`() async throws {
        transport.submit(try order())
        let offers = try await transport.offers(limit: 1)
        try await transport.giveBack(offers)
        #expect(try await transport.offers(limit: 1).map(\.run) == offers.map(\.run))
    }
}
