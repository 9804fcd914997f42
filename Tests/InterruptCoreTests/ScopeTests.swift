import Glibc
import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Interrupt scope` {
    @Test func `signals of every source come in one stream, each once, and late subscribers get the earlier ones`()
        async
    {
        let signals = InterruptSignal.Source.allCases.enumerated().map { index, source in
            InterruptSignal(
                id: RequestID(rawValue: source.rawValue),
                stage: index == 0 ? .drain : index == 1 ? .terminate : .kill,
                source: source
            )
        }
        let (early, late) = await withInterruptScope { scope in
            let early = scope.signals
            for signal in signals { scope.receive(signal) }
            for signal in signals { scope.receive(signal) }
            return (early, scope.signals)
        }
        for stream in [early, late] {
            var seen: [InterruptSignal] = []
            for await signal in stream { seen.append(signal) }  // ends with the scope
            #expect(seen == Array(signals.prefix(3)))
        }
    }

    @Test func `asking again with the same request id changes nothing`() async {
        await withInterruptScope { scope in
            let id = RequestID(rawValue: "q1")
            #expect(scope.interrupt(id: id, message: "first") == .first)
            #expect(scope.interrupt(id: id, message: "first") == .known)
            #expect(scope.cause?.id == id && scope.stage == .terminate && scope.late.isEmpty)
        }
    }

    @Test func `what changed nothing is kept as late`() async {
        let late = await withInterruptScope { scope in
            #expect(scope.interrupt(message: "first") == .first)
            #expect(scope.interrupt(reason: .timeout, message: "second") == .late)
            return scope.late
        }
        #expect(late.map(\.message) == ["second"])
    }

    @Test func `a subscriber after the end gets what was accepted and the end`() async {
        let scope = await withInterruptScope { scope in
            scope.interrupt(message: "a")
            return scope
        }
        var seen: [String?] = []
        for await signal in scope.signals { seen.append(signal.message) }
        #expect(seen == ["a"])
    }

    @Test func `a reaction gets what was accepted before, then the rest in order, and nothing after its end`() async {
        let seen = Mutex<[InterruptStage]>([])
        await withInterruptScope { scope in
            scope.interrupt(stage: .drain)
            await scope.reacting { signal in
                seen.withLock { $0.append(signal.stage) }
            } while: {
                #expect(seen.withLock { $0 } == [.drain])
                scope.interrupt(stage: .terminate)
                scope.interrupt(stage: .terminate)
                // It was called before `interrupt` returned.
                #expect(seen.withLock { $0 } == [.drain, .terminate])
            }
            scope.interrupt(stage: .kill)
        }
        #expect(seen.withLock { $0 } == [.drain, .terminate])
    }

    private final class Order: Sendable {
        let steps = Mutex<[String]>([])
    }

    @Test func `whoever asks for the cause comes after the note on it`() async {
        let order = Order()
        await withInterruptScope { scope in
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            async let reception = scope.receive(InterruptSignal()) { _ in
                begin.finish()
                usleep(20_000)  // room for the other one to come first
                order.steps.withLock { $0.append("noted") }
            }
            for await _ in begun {}
            _ = scope.cause
            order.steps.withLock { $0.append("looked") }
            #expect(await reception == .first)
        }
        #expect(order.steps.withLock { $0 } == ["noted", "looked"])
    }

    @Test func `a subscriber that does not read delays nobody`() async {
        await withInterruptScope { scope in
            let idle = scope.signals
            var iterator = scope.signals.makeAsyncIterator()
            scope.interrupt()
            #expect(await iterator.next()?.stage == .terminate)
            _ = idle
        }
    }

    @Test func `a subscriber that is gone is not kept`() async throws {
        try await withInterruptScope { scope in
            for _ in 0..<1_000 { _ = scope.signals }
            for _ in 0..<100 { try await scope.sleep(for: .zero) }
            #expect(scope.subscriberCount == 0)
            let kept = scope.signals
            #expect(scope.subscriberCount == 1)
            _ = kept
        }
    }

    @Test func `a checkpoint throws from stage 2 on, at every call, with the first cause`() async throws {
        try await withInterruptScope { scope in
            try scope.checkpoint()
            scope.interrupt(message: "drain", stage: .drain)
            try scope.checkpoint()
            #expect(scope.isInterrupted && scope.stage == .drain)
            scope.interrupt(message: "terminate")
            for _ in 0..<2 {
                let error = #expect(throws: InterruptedError.self) { try scope.checkpoint() }
                #expect(error?.description == "drain")
            }
        }
    }

    @Test func `the body's result and error pass through`() async {
        struct Mine: Error {}
        #expect(await withInterruptScope { _ in 7 } == 7)
        await #expect(throws: Mine.self) { try await withInterruptScope { _ in throw Mine() } }
    }

    @Test func `an interrupt wakes a sleep of ten years`() async {
        let isAsleep = Wakeup()
        await withInterruptScope { scope in
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    isAsleep.signal()
                    await #expect(throws: InterruptedError.self) { try await scope.sleep(for: .longestAccepted) }
                }
                await isAsleep.wait()
                scope.interrupt(stage: .drain)
                scope.interrupt()
            }
        }
    }

    @Test func `a sleep returns by itself, and throws at once when interrupted before`() async throws {
        try await withInterruptScope { scope in
            try await scope.sleep(for: .milliseconds(1))
            scope.interrupt(stage: .drain)
            try await scope.sleep(for: .milliseconds(1))
            scope.interrupt(stage: .kill)
            await #expect(throws: InterruptedError.self) { try await scope.sleep(for: .longestAccepted) }
        }
    }

    @Test func `a cancelled task's sleep throws the cancellation`() async {
        await withInterruptScope { scope in
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await #expect(throws: CancellationError.self) { try await scope.sleep(for: .longestAccepted) }
                }
                group.cancelAll()
            }
        }
    }

    @Test func `every thread sees an interrupt without a lock`() async {
        await withInterruptScope { scope in
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        while !scope.isInterrupted { await Task.yield() }
                        return scope.stage == .terminate && scope.cause != nil
                    }
                }
                scope.interrupt()
                for await sawIt in group { #expect(sawIt) }
            }
        }
    }

    @Test func `subscribers see the same order, whoever interrupts meanwhile`() async {
        for _ in 0..<200 {
            let streams = await withInterruptScope { scope in
                let streams = [scope.signals, scope.signals]
                await withDiscardingTaskGroup { group in
                    for stage in InterruptStage.allCases { group.addTask { scope.interrupt(stage: stage) } }
                }
                return streams + [scope.signals]
            }
            var orders: [[InterruptStage]] = []
            for stream in streams { orders.append(await stream.reduce(into: []) { $0.append($1.stage) }) }
            #expect(Set(orders).count == 1)
            #expect(orders[0] == orders[0].sorted() && orders[0].last == .kill)
        }
    }
}
