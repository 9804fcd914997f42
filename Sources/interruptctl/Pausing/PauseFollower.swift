import InterruptCore
import InterruptRedis

/// Follows the pause of one run, or its end, from its record to the worker's word.
struct PauseFollower: RequestFollower {
    enum Step: Equatable {
        /// The request is on record.
        case recorded
        /// It was so before, or asked before.
        case already
        /// The worker has carried it out.
        case confirmed(after: Duration)
    }

    let action: PauseRequest.Action
    let receipt: PauseReceipt
    private(set) var phase = RequestPhase.open
    private(set) var record: RunRecord?
    private(set) var confirmedAfter: Duration?

    init(_ receipt: PauseReceipt, action: PauseRequest.Action) {
        (self.receipt, self.action) = (receipt, action)
    }

    var job: String { receipt.job }
    var run: RunID? { receipt.run }
    var isWorthALastLook: Bool { isEnded && record == nil }
    var waitLimit: Duration { StopLimits.answer }

    private var wanted: RunState { action == .pause ? .paused : .running }

    func status(isWaiting: Bool) -> CommandStatus {
        switch phase {
        case .ended(let status): status
        case .open, .acknowledged: isWaiting ? .unconfirmed : .done
        }
    }

    mutating func begin(now: Timestamp) -> [Step] {
        switch receipt.outcome {
        case .recorded: return [.recorded]
        case .already:
            if receipt.state == wanted { phase = .ended(.done) }
            return [.already]
        case .withdrawn:
            phase = .ended(.done)
            return [.recorded, .confirmed(after: .zero)]
        case .queued, .handler, .cancelling: phase = .ended(.failed)
        case .ended, .replaced: phase = .ended(.alreadyEnded)
        case .missing: phase = .ended(.noSuchJob)
        }
        return []
    }

    var isLost: Bool { false }
    /// It is asked once.
    func isMeant(by repetition: PauseFollower) -> Bool { false }
    mutating func observe(repetition: PauseFollower, now: Timestamp) -> [Step] { [] }

    mutating func observe(_ record: RunRecord, elapsed: Duration) -> [Step] {
        self.record = record
        guard phase == .open else { return [] }
        if record.state == wanted {
            phase = .ended(.done)
            confirmedAfter = elapsed
            return [.confirmed(after: elapsed)]
        }
        switch record.state {
        case .queued, .running, .paused: break
        case .cancelling: phase = .ended(.failed)
        case .completed, .failed, .interrupted, .lost: phase = .ended(.alreadyEnded)
        }
        return []
    }

    func json(error: String?) -> JSONValue {
        let state = record?.state ?? receipt.state
        return .object([
            "action": .string(action.rawValue), "job": .string(receipt.job),
            "run": run.map { .string($0.rawValue) } ?? .null,
            "state": state.map { .string($0.rawValue) } ?? .null,
            "paused_at": record?.pausedAt.map { .string($0.rfc3339) } ?? .null,
            "already_requested": .bool(receipt.outcome == .already),
            "confirmed_ms": confirmedAfter.map { .integer($0.milliseconds) } ?? .null,
            "error": error.map { .string($0) } ?? .null,
        ])
    }
}
