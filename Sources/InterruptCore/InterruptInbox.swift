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

    /// The first interrupt, then those that raised the stage or shortened the grace period, in order.
    private(set) var accepted: [InterruptSignal] = []
    /// The hardest stage asked so far.
    public private(set) var stage: InterruptStage?
    /// The signals that came too late to change anything, in order; the first ones, at most ``maximumLate``.
    public private(set) var late: [InterruptSignal] = []
    /// How many late signals are kept: as many as a request's record in Redis knows ids.
    public static let maximumLate = 100
    /// The shortest grace period that stage 2 was asked with.
    private var gracePeriod: Duration?
    /// Those of the signals after the first.
    private var knownIDs: Set<RequestID> = []

    /// The first interrupt accepted; keeps reason, message and name.
    public var cause: InterruptSignal? { accepted.first }
    /// The signals that raised the stage or shortened the grace period after the first, in order.
    public var escalations: [InterruptSignal] { Array(accepted.dropFirst()) }

    /// An inbox that has received nothing.
    public init() {}

    /// Takes one signal in. Idempotent by request id.
    public mutating func receive(_ signal: InterruptSignal) -> Reception {
        guard let stage else {
            accepted = [signal]
            self.stage = signal.stage
            gracePeriod = signal.gracePeriod
            return .first
        }
        // The same id may come again with a harder stage: a record that was escalated keeps its id.
        if signal.stage > stage {
            knownIDs.insert(signal.id)
            self.stage = signal.stage
            gracePeriod = signal.gracePeriod
            accepted.append(signal)
            return .escalation(previous: stage)
        }
        // So may a record whose grace period was shortened.
        if signal.stage == stage, stage == .terminate, let asked = signal.gracePeriod,
            gracePeriod.map({ asked < $0 }) ?? true
        {
            knownIDs.insert(signal.id)
            gracePeriod = asked
            accepted.append(signal)
            return .shortening
        }
        guard signal.id != cause?.id, knownIDs.insert(signal.id).inserted else { return .known }
        if late.count < Self.maximumLate { late.append(signal) }
        return .late
    }
}
