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

    @Test mutating func `the run may move the deadline later, as far as it may`() {
        let asked = ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), moreTime: .seconds(30), now: 0)
        #expect(asked == .terminate(killAt: 10))
        #expect(ladder.extend(by: .seconds(5), now: 1) == .none)  // less than it has
        #expect(ladder.extend(by: .seconds(20), now: 5) == .extend(killAt: 25, total: .seconds(15)))
        #expect(ladder.deadlineReached(now: 10) == .none)
        #expect(ladder.extend(by: .seconds(600), now: 20) == .extend(killAt: 40, total: .seconds(30)))
        #expect(ladder.extend(by: .seconds(600), now: 39) == .none)
        #expect(ladder.deadlineReached(now: 40) == .kill)
        #expect(ladder.extend(by: .seconds(600), now: 40) == .none)
    }

    @Test mutating func `the run has no say after somebody wanted it sooner, or before it was asked`() {
        #expect(ladder.extend(by: .seconds(600), now: 0) == .none)
        let asked = ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), moreTime: .seconds(30), now: 0)
        #expect(asked == .terminate(killAt: 10))
        let again = ladder.interrupt(stage: .terminate, gracePeriod: .seconds(3), moreTime: .seconds(30), now: 1)
        #expect(again == .shorten(killAt: 4))
        #expect(ladder.extend(by: .seconds(600), now: 2) == .none)
    }

    @Test mutating func `a later request without more time limits what the run may have`() {
        let asked = ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), moreTime: .seconds(30), now: 0)
        #expect(asked == .terminate(killAt: 10))
        #expect(ladder.interrupt(stage: .terminate, gracePeriod: .seconds(10), now: 5) == .none)
        #expect(ladder.extend(by: .seconds(600), now: 6) == .extend(killAt: 15, total: .seconds(5)))
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
