import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Presses of Ctrl-C` {
    struct Moment: InstantProtocol {
        var milliseconds: Int64
        func advanced(by duration: Duration) -> Moment { Moment(milliseconds: milliseconds + duration.milliseconds) }
        func duration(to other: Moment) -> Duration { .milliseconds(other.milliseconds - milliseconds) }
        static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }
    }

    @Test func `the first interrupts, the second kills, the third leaves`() {
        var presses = AttachedPresses<Moment>()
        #expect(presses.press(at: Moment(milliseconds: 0)) == .interrupt(.terminate))
        #expect(presses.press(at: Moment(milliseconds: 299)) == .none)
        #expect(presses.press(at: Moment(milliseconds: 300)) == .none)  // 1 ms after the one before
        #expect(presses.press(at: Moment(milliseconds: 600)) == .interrupt(.kill))
        #expect(presses.press(at: Moment(milliseconds: 700)) == .none)
        #expect(presses.press(at: Moment(milliseconds: 1_000)) == .leave)
    }

    @Test func `holding the key for 3 s interrupts once and kills nothing`() {
        var presses = AttachedPresses<Moment>()
        let actions = stride(from: 0, through: 3_000, by: 30).map { presses.press(at: Moment(milliseconds: $0)) }
        #expect(actions.filter { $0 != .none } == [.interrupt(.terminate)])
    }

    @Test func `what is said names what the next press does`() {
        let screen = Screen()
        let text = AttachedPresses<Moment>.text(.interrupt(.terminate), on: screen)
        #expect(text == "⏹ Interrupting... Press Ctrl+C again to kill it now")
        #expect(AttachedPresses<Moment>.text(.leave, on: screen)!.contains("nothing was undone"))
    }
}
