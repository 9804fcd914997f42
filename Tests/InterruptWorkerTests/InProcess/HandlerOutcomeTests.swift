import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `The outcome of a handler` {
    @Test(
        arguments: [
            (.returned, false, false, RunEnding(state: .completed)),
            (.returned, false, true, RunEnding(state: .completed, isLateInterrupt: true)),
            (.returned, true, true, RunEnding(state: .interrupted)),
            (.threwInterruption, true, true, RunEnding(state: .interrupted)),
            (.threw("broken"), false, false, RunEnding(state: .failed, error: "broken")),
            (.threw("broken"), true, true, RunEnding(state: .failed, isLateInterrupt: true, error: "broken")),
        ] as [(HandlerOutcome.Exit, Bool, Bool, RunEnding)]
    )
    func `follows from how it was left, and whether it had noticed`(
        exit: HandlerOutcome.Exit,
        hasTakenNotice: Bool,
        wasAsked: Bool,
        ending: RunEnding
    ) {
        let outcome = HandlerOutcome(exit: exit, hasTakenNotice: hasTakenNotice, wasInterruptAsked: wasAsked)
        #expect(outcome.ending == ending)
    }

    @Test func `has an error's text escaped and cut`() {
        let text = "a\u{1B}[31m" + String(repeating: "x", count: 2_000)
        let ending = HandlerOutcome(exit: .threw(text), hasTakenNotice: false, wasInterruptAsked: false).ending
        #expect(ending.error?.hasPrefix("a\\x1b[31mxxx") == true)
        #expect(ending.error?.count ?? 0 < HandlerOutcome.longestError + 10)
    }
}
