import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Events of a scope` {
    @Test func `each reader gets one for an accepted interrupt, with its run, none for a repetition`() async {
        let run = RunID.random()
        let streams = await withInterruptScope(run: run) { scope in
            let streams = [scope.events, scope.events]
            scope.interrupt(message: "first")
            for _ in 0..<100 { scope.interrupt() }
            scope.interrupt(message: "harder", stage: .kill)
            for _ in 0..<100 { scope.interrupt(stage: .kill) }
            return streams
        }
        for stream in streams {
            let seen = await stream.reduce(into: []) { $0.append($1) }
            let accepted = seen.compactMap { event -> InterruptEvent? in
                if case .accepted(let event) = event { event } else { nil }
            }
            #expect(accepted.map(\.run) == [run, run])
            #expect(accepted.map(\.signal.message) == ["first", "harder"])
        }
    }

    @Test func `the interrupt is the last one of work that ended because of it, also for who comes later`() async {
        let run = RunID.random()
        var streams: [AsyncStream<ScopeEvent>] = []
        var ended: InterruptScope?
        await #expect(throws: InterruptedError.self) {
            try await withInterruptScope(run: run) { scope in
                streams = [scope.events]
                ended = scope
                scope.interrupt(message: "enough")
                try scope.checkpoint()
            }
        }
        if let ended { streams.append(ended.events) }
        var counts: [Int] = []
        for stream in streams {
            let seen = await stream.reduce(into: []) { $0.append($1) }
            guard case .interrupted(let event) = seen.last else {
                Issue.record("\(seen)")
                continue
            }
            #expect(event.run == run && event.signal.message == "enough")
            counts.append(seen.count)
        }
        #expect(counts == [3, 1] && ended?.status == .interrupted)
    }

    @Test func `the end says how the work ended`() async {
        struct Mine: Error {}
        func end(_ body: (InterruptScope) async throws -> Void) async -> WorkStatus? {
            var ended: InterruptScope?
            try? await withInterruptScope { scope in  // only the scope's own view counts here
                ended = scope
                try await body(scope)
            }
            return ended?.status
        }
        #expect(await end { _ in } == .completed)
        #expect(await end { _ in throw Mine() } == .failed)
        #expect(await end { $0.interrupt() } == .completed)
        #expect(
            await end {
                $0.interrupt()
                throw Mine()
            } == .failed
        )
        #expect(
            await end {
                $0.interrupt()
                throw CancellationError()
            } == .interrupted
        )
        #expect(await end { _ in throw CancellationError() } == .failed)
        let other = InterruptedError(InterruptSignal())
        #expect(await end { _ in throw other } == .failed)
    }

    @Test func `a reader that does not read misses the oldest, and delays nobody`() async {
        let bus = EventBus()
        let (idle, busy) = (bus.stream(), bus.stream())
        var reader = busy.makeAsyncIterator()
        for number in 0..<EventBus.backlog + 10 {
            bus.publish(.notice("\(number)"))
            #expect(await reader.next() == .notice("\(number)"))
        }
        bus.publish(.status(.completed))
        bus.publish(.notice("too late"))
        let kept = await idle.reduce(into: []) { $0.append($1) }
        #expect(kept.count == EventBus.backlog && kept.last == .status(.completed))
    }
}

@Suite struct `Status of work` {
    @Test func `the table is the documented one`() {
        let steps = WorkStatus.allCases.map { status in
            WorkStatus.allCases.filter { status.canBecome($0) }.map(\.rawValue).joined(separator: " ")
        }
        #expect(
            zip(WorkStatus.allCases.map(\.rawValue), steps).map { "\($0): \($1)" } == [
                "started: awaiting human_intervention retrying recovered cancelling completed failed interrupted",
                "awaiting: started cancelling completed failed interrupted",
                "human_intervention: started cancelling completed failed interrupted",
                "retrying: started recovered cancelling completed failed interrupted",
                "recovered: awaiting human_intervention retrying cancelling completed failed interrupted",
                "cancelling: completed failed interrupted", "completed: ", "failed: ", "interrupted: ",
            ]
        )
    }

    @Test func `in 100,000 random sequences only allowed steps are taken, and an end is final`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100_000 {
            let bus = EventBus()
            for _ in 0..<6 {
                let (before, asked) = (bus.status, WorkStatus.allCases.randomElement(using: &generator) ?? .started)
                bus.publish(.status(asked))
                if bus.status != before, !before.canBecome(bus.status) || bus.status != asked || before.isEnd {
                    Issue.record("\(before) became \(bus.status), asked was \(asked)")
                }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Warnings of a scope` {
    /// The first event that `pick` takes.
    private func first<Value>(_ events: AsyncStream<ScopeEvent>, _ pick: (ScopeEvent) -> Value?) async -> Value? {
        for await event in events { if let value = pick(event) { return value } }
        return nil
    }

    @Test func `a timeout says beforehand that it comes near`() async throws {
        await withInterruptScope { scope in
            let events = scope.events
            scope.setTimeout(.milliseconds(500), warningAfter: 0.02)
            var seen: [ScopeEvent] = []
            for await event in events.prefix(2) { seen.append(event) }
            guard case .timeoutApproaching(let remaining) = seen.first else {
                Issue.record("\(seen)")
                return
            }
            #expect((.zero ... .milliseconds(490)).contains(remaining))
            if case .accepted(let event) = seen.last { #expect(event.signal.reason == .timeout) }
            #expect(seen.count == 2)
        }
    }

    @Test func `a timeout that is taken back or replaced warns of nothing`() async {
        var isLate = true
        while isLate {
            let events = await withInterruptScope { scope in
                let events = scope.events
                scope.setTimeout(.milliseconds(400), warningAfter: 0.5)
                scope.setTimeout(.milliseconds(500), warningAfter: 0.5)
                scope.cancelTimeout()
                isLate = scope.began.duration(to: .now) >= .milliseconds(200)  // the first may have warned: once more
                // Later ones have rung: the earlier ones never will.
                await withInterruptScope(timeout: .milliseconds(600)) { later in
                    for await _ in later.signals { break }
                }
                return events
            }
            let seen = await events.reduce(into: []) { $0.append($1) }
            #expect(isLate || seen == [.status(.completed)])
        }
    }

    @Test func `work that passes no checkpoint is told of, with the last one it passed`() async throws {
        try await withInterruptScope { scope in
            let events = scope.events
            scope.warnIfIgnored(for: .milliseconds(5))
            try scope.checkpoint("page 7")
            scope.interrupt()
            let seen = await first(events) { event -> [String?]? in
                guard case .ignored(let stage, let limit, let last) = event else { return nil }
                return ["\(stage)", "\(limit == .milliseconds(5))", last]
            }
            #expect(seen == ["terminate", "true", "page 7"])
        }
    }

    @Test func `work that goes on at stage 1 is told of, and work where it has surfaced is not`() async throws {
        var isLate = true
        while isLate {
            let events = await withInterruptScope { scope in
                let events = scope.events
                scope.interrupt(stage: .drain)
                scope.warnIfIgnored(for: .milliseconds(5))
                let stage = await first(events) { if case .ignored(let stage, _, _) = $0 { stage } else { nil } }
                #expect(stage == .drain)
                let rest = scope.events
                let began = ContinuousClock.now
                scope.warnIfIgnored(for: .milliseconds(300))
                scope.interrupt()
                #expect(throws: InterruptedError.self) { try scope.checkpoint() }
                isLate = began.duration(to: .now) >= .milliseconds(300)  // it did not surface in time: once more
                await withDetachedInterruptScope(timeout: .milliseconds(400)) { later in
                    for await _ in later.signals { break }
                }
                return rest
            }
            let late = await first(events) { if case .ignored(let stage, _, _) = $0 { stage } else { nil } }
            #expect(isLate || late == nil)
        }
    }

    @Test func `the error names the checkpoint where the interrupt surfaced`() async {
        await withInterruptScope { scope in
            scope.interrupt()
            let named = #expect(throws: InterruptedError.self) { try scope.checkpoint("scene 3") }
            #expect(named?.checkpoint == "scene 3")
            let unnamed = #expect(throws: InterruptedError.self) { try scope.checkpoint() }
            #expect(unnamed?.checkpoint?.contains("the error names the checkpoint") == true)
        }
    }

    @Test func `a section that cannot stop is named, and stage 3 reaches it`() async {
        await withInterruptScope { scope in
            let events = scope.events
            await scope.uninterruptible("loading the model") {
                scope.interrupt()
                #expect(throws: Never.self) { try Interrupt.checkpoint() }
                scope.interrupt(stage: .kill)
                #expect(throws: InterruptedError.self) { try Interrupt.checkpoint() }
            }
            let section = await first(events) { event -> String? in
                if case .uninterruptible(let section, let elapsed) = event, elapsed > .zero { section } else { nil }
            }
            #expect(section == "loading the model")
            #expect(throws: InterruptedError.self) { try scope.checkpoint() }
        }
    }
}
