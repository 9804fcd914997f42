import InterruptCore
import Testing

@testable import InterruptWorker

/// Time as a number of seconds, so that a test is a list of events and actions.
private struct Second: InstantProtocol, ExpressibleByIntegerLiteral {
    var value: Duration
    init(integerLiteral seconds: Int) { value = .seconds(seconds) }
    init(_ value: Duration) { self.value = value }
    func advanced(by duration: Duration) -> Second { Second(value + duration) }
    func duration(to other: Second) -> Duration { other.value - value }
    static func < (left: Second, right: Second) -> Bool { left.value < right.value }
}

@Suite struct `Teardown ladder` {
    private var ladder = TeardownLadder<Second>()

    @Test mutating func `drain does nothing to the process`() {
        #expect(ladder.interrupt(stage: .drain, gracePeriod: .zero, now: 0) == .none)
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 1) == .terminate(killAt: 11))
    }

    @Test mutating func `terminate asks once and forces at the deadline`() {
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 5) == .terminate(killAt: 15))
        #expect(ladder.deadlineReached(now: 14) == .none)
        #expect(ladder.deadlineReached(now: 15) == .kill)
        #expect(ladder.deadlineReached(now: 16) == .none)
    }

    @Test mutating func `a second terminate may move the deadline earlier but never later`() {
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 0) == .terminate(killAt: 10))
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(60), now: 1) == .none)
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(3), now: 1) == .shorten(killAt: 4))
        #expect(ladder.deadlineReached(now: 4) == .kill)
        #expect(ladder.deadlineReached(now: 10) == .none)
    }

    @Test mutating func `kill forces at once, also after terminate, and only once`() {
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 0) == .terminate(killAt: 10))
        #expect(ladder.interrupt(stage: .kill, gracePeriod: .seconds(10), now: 1) == .kill)
        #expect(ladder.interrupt(stage: .kill, gracePeriod: .seconds(10), now: 2) == .none)
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(1), now: 2) == .none)
    }

    @Test mutating func `no grace period is kill at once`() {
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .zero, now: 0) == .kill)
    }

    @Test mutating func `a second terminate without grace forces what was only asked`() {
        _ = ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 0)
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .zero, now: 1) == .kill)
    }

    @Test mutating func `what comes after the end of the tree does nothing`() {
        _ = ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 0)
        ladder.treeEnded()
        #expect(ladder.deadlineReached(now: 10) == .none)
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(1), now: 10) == .none)
        #expect(ladder.interrupt(stage: .kill, gracePeriod: .zero, now: 10) == .none)
        ladder.treeEnded()
    }

    @Test mutating func `a deadline without an interrupt does nothing`() {
        #expect(ladder.deadlineReached(now: 100) == .none)
    }
}
