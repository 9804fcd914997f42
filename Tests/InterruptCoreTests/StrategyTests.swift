import Testing

@testable import InterruptCore

@Suite struct `Strategies` {
    private func steps(_ stage: InterruptStage, _ strategies: any InterruptStrategy...) -> [StageStep] {
        InterruptSignal(stage: stage).steps(through: strategies)
    }

    /// Answers whatever it is told to.
    private struct Answering: InterruptStrategy {
        let answer: [StageStep]
        func steps(for signal: InterruptSignal) -> [StageStep] { answer }
    }

    @Test func `leave stage 3 alone, and without any of them each stage means what it says`() {
        for stage in InterruptStage.allCases { #expect(steps(stage) == [StageStep(stage)]) }
        #expect(steps(.kill, FinishFirst(within: .seconds(5)), Answering(answer: [])) == [StageStep(.kill)])
    }

    @Test func `finish first, stop at once, and escalate by time`() {
        let finish = FinishFirst(within: .seconds(30))
        #expect(steps(.drain, finish) == [StageStep(.drain)])
        #expect(steps(.terminate, finish) == [StageStep(.drain), StageStep(.terminate, after: .seconds(30))])
        #expect(steps(.drain, StopAtOnce()) == [StageStep(.terminate)])
        #expect(steps(.terminate, StopAtOnce()) == [StageStep(.terminate)])
        let escalating = EscalateByTime(drainLimit: .seconds(60), graceLimit: .seconds(10))
        #expect(
            steps(.drain, escalating) == [
                StageStep(.drain), StageStep(.terminate, after: .seconds(60)), StageStep(.kill, after: .seconds(70)),
            ]
        )
        #expect(steps(.terminate, escalating) == [StageStep(.terminate), StageStep(.kill, after: .seconds(10))])
        #expect(steps(.drain, EscalateByTime(graceLimit: .seconds(10))) == [StageStep(.drain)])
        let asked = InterruptSignal(gracePeriod: .seconds(2)).steps(through: [escalating])
        #expect(asked == [StageStep(.terminate), StageStep(.kill, after: .seconds(2))])
    }

    @Test func `are asked in order, each about what the one before has answered`() {
        let both = steps(
            .terminate,
            FinishFirst(within: .seconds(30)),
            EscalateByTime(drainLimit: .seconds(60), graceLimit: .seconds(10))
        )
        #expect(
            both == [
                StageStep(.drain), StageStep(.terminate, after: .seconds(30)), StageStep(.kill, after: .seconds(40)),
            ]
        )
        #expect(steps(.drain, StopAtOnce(), FinishFirst(within: .seconds(1))).map(\.stage) == [.drain, .terminate])
    }

    @Test func `may keep stage 1 from the work, and nothing else`() {
        #expect(steps(.drain, Answering(answer: [])) == [])
        #expect(steps(.terminate, Answering(answer: [])) == [StageStep(.terminate)])
        #expect(steps(.terminate, Answering(answer: [StageStep(.drain)])) == [StageStep(.terminate)])
        let later = [StageStep(.terminate, after: .seconds(5))]
        #expect(steps(.terminate, Answering(answer: later)) == [StageStep(.drain)] + later)
        let disordered = [
            StageStep(.kill, after: .seconds(9)), StageStep(.drain), StageStep(.drain, after: .seconds(2)),
        ]
        #expect(steps(.drain, Answering(answer: disordered)) == [StageStep(.drain), disordered[0]])
        #expect(
            steps(.drain, Answering(answer: [StageStep(.terminate, after: .seconds(-1))])) == [StageStep(.terminate)]
        )
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Scopes with strategies` {
    private struct DeafToDrain: InterruptStrategy {
        func steps(for signal: InterruptSignal) -> [StageStep] {
            signal.stage == .drain ? [] : [StageStep(signal.stage)]
        }
    }

    @Test func `work that finishes first sees stage 1, and stage 2 of the same request when its time is over`() async {
        await withInterruptScope(strategies: [FinishFirst(within: .seconds(3_600))]) { scope in
            scope.interrupt()
            #expect(scope.stage == .drain)
            #expect(throws: Never.self) { try scope.checkpoint() }
        }
        await withInterruptScope(strategies: [FinishFirst(within: .milliseconds(20))]) { scope in
            let asked = InterruptSignal(message: "enough", triggeredBy: "ann")
            #expect(scope.receive(asked) == .first)
            #expect(scope.receive(asked) == .known)
            let seen = await scope.signals.prefix(2).reduce(into: []) { $0.append($1) }
            #expect(seen.map(\.stage) == [.drain, .terminate])
            #expect(seen.map(\.id) == [asked.id, asked.id] && seen[1].message == "enough")
            #expect(throws: InterruptedError.self) { try scope.checkpoint() }
        }
    }

    @Test func `a request that comes again harder, or with less time, is not taken for a repetition`() async {
        await withInterruptScope(strategies: [FinishFirst(within: .seconds(3_600))]) { scope in
            let id = RequestID.random()
            #expect(scope.receive(InterruptSignal(id: id, stage: .drain)) == .first)
            // The same record, escalated: a worker must write its receipt, although the work sees stage 1 as before.
            #expect(scope.receive(InterruptSignal(id: id, stage: .terminate)) == .late)
            #expect(scope.receive(InterruptSignal(id: id, stage: .terminate)) == .known)
            #expect(scope.stage == .drain)
        }
        await withInterruptScope(strategies: [EscalateByTime(drainLimit: .seconds(3_600))]) { scope in
            let id = RequestID.random()
            #expect(scope.receive(InterruptSignal(id: id, gracePeriod: .seconds(3_600))) == .first)
            #expect(scope.receive(InterruptSignal(id: id, gracePeriod: .seconds(5))) == .shortening)
            #expect(scope.receive(InterruptSignal(id: id, gracePeriod: .seconds(5))) == .known)
            #expect(scope.receive(InterruptSignal(id: id)) == .known)
        }
    }

    @Test func `a request whose stage is raised at once keeps its name and its words`() async {
        await withInterruptScope(strategies: [StopAtOnce()]) { scope in
            let asked = InterruptSignal(stage: .drain, message: "make room", triggeredBy: "ann")
            #expect(scope.receive(asked) == .first)
            #expect(scope.stage == .terminate && scope.cause?.id == asked.id)
            #expect(scope.cause?.message == "make room" && scope.cause?.triggeredBy == "ann")
        }
    }

    @Test func `without a human, stage follows stage each after its limit, and says why`() async {
        let strategy = EscalateByTime(drainLimit: .milliseconds(20), graceLimit: .milliseconds(20))
        await withInterruptScope(strategies: [strategy]) { scope in
            scope.interrupt(reason: .systemShutdown, triggeredBy: "ann", stage: .drain)
            let seen = await scope.signals.prefix(3).reduce(into: []) { $0.append($1) }
            #expect(seen.map(\.stage) == [.drain, .terminate, .kill])
            #expect(seen.map(\.triggeredBy) == ["ann", "escalation", "escalation"])
            #expect(seen.allSatisfy { $0.reason == .systemShutdown })
            #expect(seen[2].message == "Grace period expired, forcing cancellation...")
            #expect(scope.cause?.triggeredBy == "ann")
        }
    }

    @Test func `a stage 1 that is kept from the work changes nothing, is told once, and does not hide what follows`()
        async
    {
        await withInterruptScope(strategies: [DeafToDrain()]) { scope in
            let events = scope.events
            let soft = InterruptSignal(stage: .drain)
            #expect(scope.receive(soft) == .passedOver)
            #expect(scope.receive(soft) == .known)
            #expect(!scope.isInterrupted && scope.cause == nil)
            #expect(scope.interrupt() == .first)
            let seen = await events.prefix(2).reduce(into: []) { $0.append($1) }
            #expect(seen.first == .passedOver(soft))
            guard case .accepted = seen.last else {
                Issue.record("\(seen)")
                return
            }
        }
    }

    @Test func `a strategy holds for what comes from above too, and the scope above is not held up by it`() async {
        await withInterruptScope { outer in
            await withInterruptScope(strategies: [FinishFirst(within: .seconds(3_600))]) { inner in
                outer.interrupt()
                #expect(outer.stage == .terminate && inner.stage == .drain)
                outer.interrupt(stage: .kill)
                #expect(inner.stage == .kill)
            }
        }
    }

    @Test func `the steps that are still to come end with the scope`() async {
        let alarms = AlarmClock.ofProcess.alarmCount
        for _ in 0..<1_000 {
            await withInterruptScope(strategies: [FinishFirst(within: .seconds(3_600))]) { scope in
                scope.interrupt()
                #expect(scope.stage == .drain)
            }
        }
        #expect(AlarmClock.ofProcess.alarmCount < alarms + 500)
    }
}
