import InterruptCore
import Testing

@Suite struct `The judge of what must hold` {
    private let run = RunID(rawValue: "r")
    private let request = RequestID(rawValue: "q")

    /// One run that was interrupted as it should be.
    private var sound: Invariants {
        Invariants(
            asked: [.init(request: request, run: run, answer: .recorded)],
            runs: [.init(id: run, state: .interrupted)],
            events: ["submitted", "started", "requested", "acknowledged", "ended"].map {
                .init(name: $0, run: run, request: $0 == "requested" ? request : nil)
            }
        )
    }

    @Test func `finds nothing wrong where nothing is`() {
        #expect(sound.violations == [])
        #expect(Invariants().violations == [])
    }

    @Test func `finds a recorded request whose run goes on, unless it was a drain`() {
        var broken = sound
        broken.runs[0].state = .running
        broken.events.removeLast()
        #expect(broken.violations == ["the recorded request q is lost: run r goes on"])
        broken.asked[0].stage = .drain
        #expect(broken.violations == [])
    }

    @Test(arguments: [RunState.completed, .failed])
    func `finds a recorded request without which its run has ended, unless it came too late`(state: RunState) {
        var broken = sound
        broken.runs[0].state = state
        #expect(broken.violations == ["the recorded request q is lost: run r has ended without it"])
        broken.runs[0].isLate = true
        #expect(broken.violations == [])
    }

    @Test func `finds a run that nobody asked to end, but not one that its worker may have ended`() {
        var broken = sound
        broken.asked[0].request = RequestID(rawValue: "other")
        broken.asked[0].answer = .unknown
        #expect(broken.violations == ["run r was interrupted, and nobody had asked"])
        broken.endedByOthers = [run]
        #expect(broken.violations == [])
    }

    @Test func `finds a process that is left of an ended run`() {
        var broken = sound
        broken.alive = [run: [42]]
        #expect(broken.violations == ["run r has ended, and [42] live"])
    }

    @Test func `finds an answer that was wrong, either way`() {
        var broken = sound
        broken.asked[0].answer = .refused
        #expect(broken.violations == ["request q was said to be refused, and is on record"])
        broken = sound
        broken.asked.append(.init(request: RequestID(rawValue: "p"), run: run, answer: .recorded))
        #expect(broken.violations == ["request p was said to be on record, and is not"])
    }

    @Test(arguments: ["submitted", "started", "requested", "ended"])
    func `finds what counts twice`(name: String) {
        var broken = sound
        broken.events.append(.init(name: name, run: run, request: nil))
        #expect(broken.violations.count == 1, "\(broken.violations)")
        broken = sound
        broken.events.append(.init(name: "late", run: run, request: request))
        #expect(broken.violations == ["request q counts 2 times for run r"])
    }

    @Test func `finds an end that is not in the history`() {
        var broken = sound
        broken.events.removeLast()
        #expect(broken.violations == ["run r is interrupted and has ended 0 times"])
    }
}
