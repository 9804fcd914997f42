import InterruptCore
import InterruptRedis

/// Follows the interrupt of one run from its record to the proof that the run is gone.
struct StopFollower: RequestFollower {
    enum Step: Equatable {
        /// The request is on record.
        case recorded
        /// The request is on so many replicas of those that were asked for.
        case replicated(Replication)
        /// The record was gone, as after a fail-over, and is there again.
        case recordedAgain
        /// The stage rises above that of a softer request.
        case escalated
        /// One at least as hard was on record.
        case alreadyRequested(stage: InterruptStage, by: String?, ago: Duration)
        /// The run's worker has written its receipt.
        case acknowledged(way: DeliveryWay?, after: Duration?)
        /// Stage 1 lets what runs finish.
        case willFinish
        /// It goes on although it was asked to end, and its worker says why; said once.
        case holdsOut(RunRecord)
        /// It asked for more time, and was given this much more than its grace period in all.
        case moreTime(Duration)
        /// The run never began.
        case neverStarted
        /// The run is verified to be gone because of the interrupt.
        case confirmed(RunRecord)
        /// The run ended by itself first.
        case tooLate(RunRecord)
        /// The run is gone, and its outcome is not known.
        case lost(RunRecord)
    }

    let job: String
    let run: RunID?
    let signal: InterruptSignal
    let outcome: InterruptReceipt.Outcome
    /// Whether somebody had asked for as much before.
    let isAlreadyRequested: Bool
    private(set) var phase = RequestPhase.open
    private(set) var record: RunRecord?
    private(set) var acknowledgedAfter: Duration?
    private(set) var confirmedAfter: Duration?
    /// How many replicas have it, when that was asked.
    let replication: Replication?
    /// Whether the job is tried again, so that the request is not on record for it: until a repetition of it is answered.
    private(set) var isLost = false
    /// Whether the newest answer knew no such run any more.
    private(set) var isGone = false
    /// Whether the server took the run for queued after it had begun, and has ended it on record alone.
    private(set) var isEndedUnseen = false
    private var hasBegun: Bool
    private let inForce: InterruptSignal?
    private let receiptState: RunState?
    private let followsRetries: Bool
    private var hasSaidHoldout = false
    private var saidMoreTime = Duration.zero

    /// - Parameters:
    ///   - isRepetition: this program asked for the same before, so that the record may know it already.
    ///   - replication: how many replicas have it, when that was asked.
    ///   - followsRetries: whether a run is meant, too, in which the job is tried again.
    init(
        _ receipt: InterruptReceipt,
        signal: InterruptSignal,
        isRepetition: Bool = false,
        replication: Replication? = nil,
        followsRetries: Bool = true
    ) {
        job = receipt.job
        run = receipt.run
        self.signal = signal
        // An end that somebody had asked for with this id is ours only if it was us.
        let hasEnded = receipt.outcome == .known && receipt.state?.isEnd == true
        outcome = hasEnded && !isRepetition ? .ended : receipt.outcome
        inForce = receipt.signal
        receiptState = receipt.state
        hasBegun = receipt.state.map { $0 != .queued && !$0.isEnd } ?? false
        isAlreadyRequested = outcome == .already || outcome == .known && !isRepetition
        self.replication = replication
        self.followsRetries = followsRetries
    }

    mutating func begin(now: Timestamp) -> [Step] {
        let replicated = replication.map { [Step.replicated($0)] } ?? []
        switch outcome {
        case .accepted: return [.recorded] + replicated
        case .escalated: return [.escalated] + replicated
        case .already, .known:
            guard isAlreadyRequested, let inForce else { return [.recorded] + replicated }
            let ago = now - inForce.triggeredAt
            return [.alreadyRequested(stage: inForce.stage, by: inForce.triggeredBy, ago: ago)] + replicated
        case .stopped:
            // Its end is on record, and nowhere else.
            phase = .ended(isShort ? .unconfirmed : .done)
            acknowledgedAfter = .zero
            confirmedAfter = .zero
            return [.recorded] + replicated + [.neverStarted]
        case .ended, .replaced:
            phase = .ended(.alreadyEnded)
            return []
        case .missing:
            phase = .ended(.noSuchJob)
            return []
        }
    }

    private var isShort: Bool { replication?.isShort ?? false }

    func isMeant(by repetition: StopFollower) -> Bool {
        needsReceipt && (isLost ? job == repetition.job : run == repetition.run)
    }

    mutating func observe(repetition: StopFollower, now: Timestamp) -> [Step] {
        if isLost { return follow(repetition, now: now) }
        isGone = repetition.outcome == .missing
        switch repetition.outcome {
        case .accepted, .escalated: return [.recordedAgain]
        case .stopped where hasBegun:
            endUnseen()
            return [.recordedAgain]
        case .stopped:
            // It is queued again, and now it has ended.
            phase = .ended(.done)
            return [.recordedAgain, .neverStarted]
        case .already, .known, .ended, .missing, .replaced: return []
        }
    }

    /// The request for the run in which the job is tried again is followed from its beginning.
    private mutating func follow(_ repetition: StopFollower, now: Timestamp) -> [Step] {
        self = repetition
        let said = begin(now: now)
        return switch outcome {
        case .accepted, .escalated: [.recordedAgain]
        case .stopped: [.recordedAgain, .neverStarted]
        case .already: said
        case .known, .ended, .missing, .replaced: []
        }
    }

    func status(isWaiting: Bool) -> CommandStatus {
        switch phase {
        case .ended(let status): status
        case .open where isGone || isLost: .failed
        case .open, .acknowledged: isWaiting || isShort ? .unconfirmed : .done
        }
    }

    mutating func observe(_ record: RunRecord, elapsed: Duration) -> [Step] {
        self.record = record
        isGone = false
        if record.startedAt != nil { hasBegun = true }
        if isEnded { return [] }
        if hasBegun, record.state == .interrupted, record.startedAt == nil {
            endUnseen()
            return []
        }
        if followsRetries, record.state.isEnd, record.nextRun != nil {
            // Nobody tries again what was asked to stop: Redis had lost the request by then.
            isLost = true
            phase = .open
            return []
        }
        var steps: [Step] = []
        if phase == .open, record.acknowledgedAt != nil, let stage = record.stage, stage >= signal.stage {
            phase = .acknowledged
            acknowledgedAfter = latency(record.acknowledgedAt, in: record, elapsed)
            steps.append(.acknowledged(way: record.way, after: acknowledgedAfter))
            if signal.stage == .drain, !record.state.isEnd {
                phase = .ended(.done)
                return steps + [.willFinish]
            }
        }
        switch record.state {
        case .queued, .running, .paused, .cancelling:
            if record.moreTime > saidMoreTime {
                saidMoreTime = record.moreTime
                steps.append(.moreTime(record.moreTime))
            }
            if !hasSaidHoldout, record.isHoldingOut {
                hasSaidHoldout = true
                steps.append(.holdsOut(record))
            }
        case .interrupted:
            phase = .ended(.done)
            confirmedAfter = latency(record.confirmedAt, in: record, elapsed)
            steps.append(.confirmed(record))
        case .completed, .failed:
            // Asked to drain, a run that ends as it ends is what was wanted.
            phase = .ended(signal.stage == .drain ? .done : .alreadyEnded)
            steps.append(.tooLate(record))
        case .lost:
            phase = .ended(.failed)
            steps.append(.lost(record))
        }
        return steps
    }

    private mutating func endUnseen() {
        isEndedUnseen = true
        phase = .ended(.unconfirmed)
    }

    /// An escalation or a repetition has no instant of its own in the run's record: then our clock says it.
    private func latency(_ instant: Timestamp?, in record: RunRecord, _ elapsed: Duration) -> Duration? {
        guard outcome == .accepted || outcome == .known else { return outcome == .escalated ? elapsed : nil }
        guard let instant, let requested = record.requestedAt else { return nil }
        return max(.zero, instant - requested)
    }

    var isWorthALastLook: Bool { outcome == .ended || isAlreadyRequested && record == nil }

    /// The grace period, what the job was given on top of it, and five seconds.
    var waitLimit: Duration {
        let grace: Duration =
            switch signal.stage {
            case .drain, .kill: .zero
            // The start puts the worker's default on record; of a run without a start, 10 s is what nobody has changed.
            case .terminate: signal.gracePeriod ?? record?.gracePeriod ?? StopLimits.gracePeriod
            }
        let moreTime = signal.stage == .terminate ? record?.moreTime ?? .zero : .zero
        return grace + moreTime + StopLimits.answer
    }

    func json(error: String?) -> JSONValue {
        let state = record?.state ?? receiptState
        let stage = record?.stage ?? inForce?.stage
        var members: [String: JSONValue] = [
            "job": .string(job), "run": run.map { .string($0.rawValue) } ?? .null,
            "request_id": .string((outcome == .already ? inForce?.id ?? signal.id : signal.id).rawValue),
            "state": state.map { .string($0.rawValue) } ?? .null,
            "stage": stage.map { .integer(Int64($0.rawValue)) } ?? .null,
            "via": record?.way.map { .string($0.rawValue) } ?? .null,
            "acknowledged_ms": acknowledgedAfter.map { .integer($0.milliseconds) } ?? .null,
            "confirmed_ms": confirmedAfter.map { .integer($0.milliseconds) } ?? .null,
            "already_requested": .bool(isAlreadyRequested),
            "error": error.map { .string($0) } ?? .null,
        ]
        members["replicas"] = replication.map { .integer(Int64($0.stored)) } ?? .null
        return .object(members)
    }
}
