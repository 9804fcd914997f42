import InterruptCore
import Testing

@testable import InterruptRedis

/// What a transport promises of interrupts and pauses, whichever it is.
@Suite(.serialized, .timeLimit(.minutes(1))) struct `Every transport, asked to interrupt or to pause,` {
    @Test(arguments: TransportKind.allCases)
    func `never starts a queued run that was interrupted`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let order = try stage.order("a")
            try await stage.submit(order)
            let offer = try #require(try await stage.transport.offers(limit: 1).first)
            try await stage.interrupt(order.run, InterruptSignal())
            #expect(try await stage.transport.start(offer, gracePeriod: .seconds(10)) == .gone)
            #expect(try await stage.state(order.run) == .interrupted)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func `delivers an interrupt that came before the watch, and one that comes after`(kind: TransportKind) async throws
    {
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

    @Test(arguments: TransportKind.allCases)
    func `makes a run cancelling with the receipt of stage 2 and not of stage 1`(kind: TransportKind) async throws {
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

    @Test(arguments: TransportKind.allCases)
    func `tells of a pause and of its end, and keeps what became of them`(kind: TransportKind) async throws {
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

    @Test(arguments: TransportKind.allCases)
    func `pauses neither what is queued nor a function`(kind: TransportKind) async throws {
        try await withStage(kind) { stage in
            let function = try await stage.started("a", .handler(try Name("resize"), input: ""))
            #expect(try await stage.pause(function.run, .pause) == .handler)
            let queued = try stage.order("b")
            try await stage.submit(queued)
            #expect(try await stage.pause(queued.run, .pause) == .queued)
            #expect(try await stage.pause(.random(), .pause) == .missing)
        }
    }
}
