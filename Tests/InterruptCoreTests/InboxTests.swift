import InterruptCore
import Testing

@Suite struct `Interrupt inbox` {
    private func signal(_ stage: InterruptStage, _ id: String) -> InterruptSignal {
        InterruptSignal(id: RequestID(rawValue: id), stage: stage, message: id)
    }

    @Test func `the first cause keeps reason, message and name`() {
        var inbox = InterruptInbox()
        #expect(inbox.receive(signal(.terminate, "a")) == .first)
        #expect(inbox.receive(signal(.terminate, "b")) == .late)
        #expect(inbox.receive(signal(.kill, "c")) == .escalation(previous: .terminate))
        #expect(inbox.cause?.message == "a")
        #expect(inbox.stage == .kill)
        #expect(inbox.escalations.map(\.message) == ["c"])
        #expect(inbox.late.map(\.message) == ["b"])
    }

    @Test func `the stage never falls`() {
        var inbox = InterruptInbox()
        _ = inbox.receive(signal(.kill, "a"))
        #expect(inbox.receive(signal(.drain, "b")) == .late)
        #expect(inbox.receive(signal(.terminate, "c")) == .late)
        #expect(inbox.stage == .kill)
    }

    @Test func `a repetition counts once, whichever it repeats`() {
        var inbox = InterruptInbox()
        _ = inbox.receive(signal(.terminate, "a"))
        _ = inbox.receive(signal(.drain, "b"))
        _ = inbox.receive(signal(.kill, "c"))
        for id in ["a", "b", "c"] { #expect(inbox.receive(signal(.terminate, id)) == .known) }
        #expect(inbox.escalations.count == 1)
        #expect(inbox.late.count == 1)
    }

    @Test func `the same request may escalate, once`() {
        var inbox = InterruptInbox()
        #expect(inbox.receive(signal(.drain, "a")) == .first)
        #expect(inbox.receive(signal(.kill, "a")) == .escalation(previous: .drain))
        #expect(inbox.receive(signal(.kill, "a")) == .known)
        #expect(inbox.receive(signal(.drain, "a")) == .known)
    }

    @Test func `a shorter grace period counts, a longer one does not`() {
        var inbox = InterruptInbox()
        func asked(_ id: String, _ gracePeriod: Duration?) -> InterruptSignal {
            InterruptSignal(id: RequestID(rawValue: id), stage: .terminate, gracePeriod: gracePeriod)
        }
        #expect(inbox.receive(asked("a", nil)) == .first)
        #expect(inbox.receive(asked("b", .seconds(5))) == .shortening)
        #expect(inbox.receive(asked("b", .seconds(5))) == .known)
        #expect(inbox.receive(asked("c", .seconds(9))) == .late)
        #expect(inbox.receive(asked("a", .seconds(2))) == .shortening, "the record in force keeps its id")
        #expect(inbox.receive(signal(.kill, "d")) == .escalation(previous: .terminate))
        #expect(inbox.receive(asked("e", .seconds(1))) == .late)
        #expect(inbox.cause?.id.rawValue == "a")
    }

    @Test func `100 requests of one click each are one interrupt and 99 late ones`() {
        var inbox = InterruptInbox()
        let receptions = (0..<100).map { inbox.receive(signal(.terminate, "\($0)")) }
        #expect(receptions.filter { $0 == .first }.count == 1)
        #expect(receptions.filter { $0 == .late }.count == 99)
    }

    @Test func `what is kept of a storm is bounded`() {
        var inbox = InterruptInbox()
        for index in 0..<1_000 { _ = inbox.receive(signal(.drain, "\(index)")) }
        #expect(inbox.late.count == InterruptInbox.maximumLate)
        #expect(inbox.cause?.message == "0")
    }

    @Test func `the final stage does not depend on the order, and is the hardest`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<10_000 {
            let signals = (0..<Int.random(in: 1...6, using: &generator)).map {
                signal(InterruptStage.allCases.randomElement(using: &generator)!, "\($0)")
            }
            var first = InterruptInbox()
            var second = InterruptInbox()
            for signal in signals { _ = first.receive(signal) }
            for signal in signals.shuffled(using: &generator) { _ = second.receive(signal) }
            let hardest = signals.map(\.stage).max()
            if first.stage != hardest || second.stage != hardest { Issue.record("\(signals)") }
        }
    }
}
