import InterruptCore
import InterruptRedis

/// Follows the pause of one run, or its end, from its record to the worker's word. Decides what to say and how it ended;
/// never waits or asks.
struct PauseFollower {
    /// What is worth saying, in the order it happens.
    enum Step: Equatable {
        /// The request is on record.
        case recorded
        /// It was so before, or asked before.
        case already
        /// The worker has carried it out.
        case confirmed(after: Duration)
        /// Nothing was heard of the run's worker for longer than it may be silent.
        case silent(worker: String, for: Duration)
    }

    enum Phase: Equatable {
        /// On record. Then `ended`.
        case open
        /// Nothing more comes.
        case ended(CommandStatus)
    }

    let action: PauseRequest.Action
    let receipt: PauseReceipt
    private(set) var phase = Phase.open
    private(set) var record: RunRecord?
    private(set) var confirmedAfter: Duration?
    private var hasSaidSilence = false

    init(_ receipt: PauseReceipt, action: PauseRequest.Action) {
        (self.receipt, self.action) = (receipt, action)
    }

    var run: RunID? { receipt.run }

    private var wanted: RunState { action == .pause ? .paused : .running }

    /// What the receipt alone says.
    mutating func begin() -> [Step] {
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

    var isEnded: Bool { phase != .open }

    /// Takes in the record of a run that nothing more is waited for, for what is said about it.
    mutating func complete(with record: RunRecord) { self.record = record }

    /// What a look at the run's record says. A repeated look says nothing twice.
    ///
    /// - Parameter elapsed: the time since the request was sent, by our own clock.
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

    /// What a look at the run's worker says; said once.
    mutating func observe(_ worker: WorkerRecord, now: Timestamp) -> [Step] {
        let silence = now - worker.seenAt
        guard phase == .open, !hasSaidSilence, worker.lease > .zero, silence > worker.lease else { return [] }
        hasSaidSilence = true
        return [.silent(worker: worker.name, for: silence)]
    }

    /// The exit status if nothing more is waited for.
    ///
    /// - Parameter isWaiting: whether the worker's word was wanted.
    func status(isWaiting: Bool) -> CommandStatus {
        switch phase {
        case .ended(let status): status
        case .open: isWaiting ? .unconfirmed : .done
        }
    }

    /// The run as one line of JSON.
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
