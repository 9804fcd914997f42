import InterruptCore

/// What must hold whatever breaks, judged from what requesters were answered, what is on record and what runs. Decides;
/// never asks or waits.
struct Invariants: Sendable {
    /// What a requester was told in the end.
    enum Answer: Sendable {
        /// It is on record.
        case recorded
        /// It was refused: it must not be on record.
        case refused
        /// The run had ended before.
        case tooLate
        /// Nobody could say in time.
        case unknown
    }

    struct Asked: Sendable {
        var request: RequestID
        var run: RunID
        var stage = InterruptStage.terminate
        var answer: Answer
    }

    struct Run: Sendable {
        var id: RunID
        var state: RunState
        /// Whether its record says that a request came too late to cause its end.
        var isLate = false
    }

    struct Event: Sendable {
        var name: String
        var run: RunID
        var request: RequestID?
    }

    var asked: [Asked] = []
    var runs: [Run] = []
    /// The history, in order.
    var events: [Event] = []
    /// The processes that there are of each run.
    var alive: [RunID: [Int32]] = [:]
    /// The runs that may have been interrupted by something else: a timeout, the end of their worker.
    var endedByOthers: Set<RunID> = []

    /// Recorded requests of stage 2 and 3 whose run goes on.
    var lost: [Asked] {
        let live = Set(runs.filter { !$0.state.isEnd }.map(\.id))
        return asked.filter { $0.answer == .recorded && $0.stage > .drain && live.contains($0.run) }
    }

    /// Recorded requests of stage 2 and 3 whose run has ended as if there were none.
    var unheeded: [Asked] {
        let heedless = Set(runs.filter { [.completed, .failed].contains($0.state) && !$0.isLate }.map(\.id))
        return asked.filter { $0.answer == .recorded && $0.stage > .drain && heedless.contains($0.run) }
    }

    /// Runs that were interrupted without anybody having asked.
    var falselyInterrupted: [RunID] {
        let known = Set(asked.map(\.request))
        let askedFor = Set(
            events.filter { $0.name == "requested" && $0.request.map(known.contains) == true }.map(\.run)
        )
        return runs.filter { $0.state == .interrupted && !askedFor.contains($0.id) && !endedByOthers.contains($0.id) }
            .map(\.id)
    }

    /// Ended runs of which processes are left.
    var survived: [RunID] { runs.filter { $0.state.isEnd && alive[$0.id]?.isEmpty == false }.map(\.id) }

    /// Everything that does not hold, a sentence each.
    var violations: [String] {
        lost.map { "the recorded request \($0.request) is lost: run \($0.run) goes on" }
            + unheeded.map { "the recorded request \($0.request) is lost: run \($0.run) has ended without it" }
            + falselyInterrupted.map { "run \($0) was interrupted, and nobody had asked" }
            + survived.map { "run \($0) has ended, and \(alive[$0] ?? []) live" }
            + wrongAnswers + wrongHistories
    }

    private var wrongAnswers: [String] {
        let onRecord = Set(events.compactMap(\.request))
        return asked.compactMap { asked in
            switch asked.answer {
            case .recorded where !onRecord.contains(asked.request):
                "request \(asked.request) was said to be on record, and is not"
            case .refused where onRecord.contains(asked.request):
                "request \(asked.request) was said to be refused, and is on record"
            case .recorded, .refused, .tooLate, .unknown: nil
            }
        }
    }

    private var wrongHistories: [String] {
        let ofRun = Dictionary(grouping: events, by: \.run)
        return runs.flatMap { run -> [String] in
            let events = ofRun[run.id] ?? []
            func count(_ name: String) -> Int { events.count { $0.name == name } }
            var wrong: [String] = []
            let ends = run.state.isEnd ? 1 : 0
            if count("ended") != ends {
                wrong.append("run \(run.id) is \(run.state) and has ended \(count("ended")) times")
            }
            for name in ["submitted", "started", "requested"] where count(name) > 1 {
                wrong.append("run \(run.id) was \(name) \(count(name)) times")
            }
            let requests = events.filter { ["requested", "escalated", "late"].contains($0.name) }.compactMap(\.request)
            for (request, times) in Dictionary(grouping: requests, by: \.self) where times.count > 1 {
                wrong.append("request \(request) counts \(times.count) times for run \(run.id)")
            }
            return wrong
        }
    }

    /// The figures in one line.
    var summary: String {
        func count(_ answer: Answer) -> Int { asked.count { $0.answer == answer } }
        return """
            \(runs.count) runs, \(asked.count) requests: recorded \(count(.recorded)), refused \(count(.refused)), too late \
            \(count(.tooLate)), unknown \(count(.unknown)); lost \(lost.count + unheeded.count), false interrupts \
            \(falselyInterrupted.count), survivors \(survived.count), violations \(violations.count)
            """
    }
}
