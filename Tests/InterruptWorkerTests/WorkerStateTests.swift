import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite struct `Worker state` {
    private func offer(_ run: String, _ entry: String = "1-1") throws -> RunOffer {
        RunOffer(run: RunID(rawValue: run), queue: try Name("q"), entry: entry)
    }

    @Test func `an offer that comes twice is taken once, and goes back when the slot is free`() throws {
        var state = WorkerState(slots: 2)
        let (first, second) = (try offer("a"), try offer("a", "2-1"))
        #expect(state.take(first) == .taken)
        #expect(state.take(second) == .held)
        #expect(state.take(second) == .held)
        #expect(state.freeSlots == 1)
        #expect(state.release(first.run) == [second])
        #expect(state.take(second) == .taken)
        #expect(state.release(first.run) == [])
    }

    @Test func `from stage 1 on nothing is taken, and the stage never falls`() throws {
        var state = WorkerState(slots: 2)
        #expect(state.take(try offer("a")) == .taken)
        #expect(state.escalate(to: .terminate) == .raised(from: nil))
        #expect(state.escalate(to: .drain) == .none)
        #expect(state.escalate(to: .terminate) == .none)
        #expect(state.take(try offer("b")) == .refused)
        #expect(state.take(try offer("a")) == .held)
        #expect(state.freeSlots == 0)
        #expect(state.escalate(to: .kill) == .raised(from: .terminate))
    }
}
