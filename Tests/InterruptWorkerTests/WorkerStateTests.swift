import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite struct `Worker state` {
    private let run = RunID(rawValue: "a")

    @Test func `an offer that comes twice is taken once`() {
        var state = WorkerState(slots: 2)
        #expect(state.take(run) == .taken)
        #expect(state.take(run) == .held)
        #expect(state.freeSlots == 1)
        state.release(run)
        #expect(state.take(run) == .taken)
    }

    @Test func `from stage 1 on nothing is taken, and the stage never falls`() {
        var state = WorkerState(slots: 2)
        #expect(state.take(run) == .taken)
        #expect(state.escalate(to: .terminate) == .raised(from: nil))
        #expect(state.escalate(to: .drain) == .none)
        #expect(state.escalate(to: .terminate) == .none)
        #expect(state.take(RunID(rawValue: "b")) == .refused)
        #expect(state.take(run) == .held)
        #expect(state.freeSlots == 0)
        #expect(state.escalate(to: .kill) == .raised(from: .terminate))
    }
}
