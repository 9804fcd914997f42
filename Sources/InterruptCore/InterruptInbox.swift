/// Merges everything that asks one run to stop: the first cause wins, the stage only rises, nothing counts twice.
public struct InterruptInbox: Sendable {
    /// What a received signal means.
    public enum Reception: Hashable, Sendable {
        /// The first interrupt: it keeps reason, message and name for good.
        case first
        /// A harder one: the stage rises from `previous`.
        case escalation(previous: InterruptStage)
        /// Not harder, but with a shorter grace period: the earlier force deadline holds.
        case shortening
        /// Another one, not harder: recorded, nothing changes.
        case late
        /// Its request id is known: a repetition, nothing to record.
        case known
        /// A strategy keeps it from the work: stage 1 only.
        case passedOver
    }

    /// The first interrupt accepted; keeps reason, message and name.
    public private(set) var cause: InterruptSignal?
    /// The hardest stage asked so far.
    public private(set) var stage: InterruptStage?
    /// The signals that raised the stage or shortened the grace period after the first, in order.
    public private(set) var escalations: [InterruptSignal] = []
    /// The signals that came too late to change anything, in order; the first ones, at most ``maximumLate``.
    public private(set) var late: [InterruptSignal] = []
    /// The first interrupt and the escalations, in order.
    var accepted: [InterruptSignal] { (cause.map { [$0] } ?? []) + escalations }
    /// How many late signals are kept: as many as a request's record in Redis knows ids.
    public static let maximumLate = 100
    /// The shortest grace period that stage 2 was asked with.
    private var gracePeriod: Duration?
    private var knownIDs: Set<RequestID> = []

    /// An inbox that has received nothing.
    public init() {}

    /// Takes one signal in. Idempotent by request id.
    public mutating func receive(_ signal: InterruptSignal) -> Reception {
        guard let stage else {
            knownIDs = [signal.id]
            cause = signal
            self.stage = signal.stage
            gracePeriod = signal.gracePeriod
            return .first
        }
        // The same id may come again with a harder stage: a record that was escalated keeps its id.
        if signal.stage > stage {
            knownIDs.insert(signal.id)
            self.stage = signal.stage
            gracePeriod = signal.gracePeriod
            escalations.append(signal)
            return .escalation(previous: stage)
        }
        // So may a record whose grace period was shortened.
        if signal.stage == stage, stage == .terminate, let asked = signal.gracePeriod,
            gracePeriod.map({ asked < $0 }) ?? true
        {
            knownIDs.insert(signal.id)
            gracePeriod = asked
            escalations.append(signal)
            return .shortening
        }
        guard knownIDs.insert(signal.id).inserted else { return .known }
        if late.count < Self.maximumLate { late.append(signal) }
        return .late
    }
}
