/// Decides what an interrupt means for one kind of operation: which stage arrives at its work, and when.
///
/// Three are ready-made: ``FinishFirst``, ``StopAtOnce`` and ``EscalateByTime``. Several are asked in order, each about what
/// the one before has answered. None is asked about stage 3, which always arrives at once.
public protocol InterruptStrategy: Sendable {
    /// The stages that follow from an interrupt, with their delays from now. Returns at once, and must not use the scope: it
    /// is called under the scope's lock.
    ///
    /// Stage 1 may be left out: the work never hears of it. A harder stage may come later or by way of a softer one; left out
    /// it arrives at once.
    /// - Parameter signal: stage 1 or 2.
    func steps(for signal: InterruptSignal) -> [StageStep]
}

/// A stage that arrives after a while.
public struct StageStep: Hashable, Sendable {
    /// The stage.
    public var stage: InterruptStage
    /// From the interrupt on.
    public var delay: Duration

    /// A stage that arrives at once, if nothing else is said.
    public init(_ stage: InterruptStage, after delay: Duration = .zero) {
        (self.stage, self.delay) = (stage, delay)
    }
}

/// For work that is worth finishing, as an upload or a transaction: stage 2 arrives as stage 1, and as stage 2 when the work
/// still goes on after a while.
public struct FinishFirst: InterruptStrategy {
    /// How long the work may go on.
    public var limit: Duration

    /// - Parameter limit: there is no default: somebody waits that long.
    public init(within limit: Duration) { self.limit = limit }

    /// Stage 1 now, stage 2 later.
    public func steps(for signal: InterruptSignal) -> [StageStep] {
        signal.stage == .drain ? [StageStep(.drain)] : [StageStep(.drain), StageStep(signal.stage, after: limit)]
    }
}

/// For work that costs little to do again, as reading or drawing a preview: stage 1 arrives as stage 2.
public struct StopAtOnce: InterruptStrategy {
    /// The only one.
    public init() {}

    /// Stage 2 now.
    public func steps(for signal: InterruptSignal) -> [StageStep] { [StageStep(max(signal.stage, .terminate))] }
}

/// For work that nobody watches: what it does not heed becomes harder by itself.
public struct EscalateByTime: InterruptStrategy {
    /// From stage 1 to stage 2; `nil` waits without end.
    public var drainLimit: Duration?
    /// From stage 2 to stage 3, for an interrupt that names no grace period; `nil` leaves that to who runs the work.
    public var graceLimit: Duration?

    /// - Parameters: of which both may be left out.
    public init(drainLimit: Duration? = nil, graceLimit: Duration? = nil) {
        (self.drainLimit, self.graceLimit) = (drainLimit, graceLimit)
    }

    /// The stage itself now, the next ones each after its limit.
    public func steps(for signal: InterruptSignal) -> [StageStep] {
        var steps = [StageStep(signal.stage)]
        if signal.stage == .drain {
            guard let drainLimit else { return steps }
            steps.append(StageStep(.terminate, after: drainLimit))
        }
        if let graceLimit, let last = steps.last {
            steps.append(StageStep(.kill, after: last.delay + (signal.gracePeriod ?? graceLimit)))
        }
        return steps
    }
}

extension InterruptSignal {
    /// The stages that several strategies make of this one together: by their delays, each harder than the one before, the
    /// first one at once. None for a stage 1 that the work is not to hear of.
    func steps(through strategies: [any InterruptStrategy]) -> [StageStep] {
        if stage == .kill { return [StageStep(.kill)] }
        var steps = [StageStep(stage)]
        for strategy in strategies {
            steps = steps.flatMap { step -> [StageStep] in
                if step.stage == .kill { return [step] }
                var signal = self
                signal.stage = step.stage
                return strategy.steps(for: signal).map { StageStep($0.stage, after: step.delay + $0.delay.clamped) }
            }
        }
        if stage == .terminate, !steps.contains(where: { $0.stage >= stage }) { steps.append(StageStep(stage)) }
        var rising: [StageStep] = []
        for step in steps.sorted(by: { ($0.delay, $1.stage) < ($1.delay, $0.stage) })
        where rising.last.map({ step.stage > $0.stage }) ?? true {
            rising.append(step)
        }
        // The work learns at once that something was asked.
        if let first = rising.first, first.delay > .zero {
            if first.stage == .drain { rising[0].delay = .zero } else { rising.insert(StageStep(.drain), at: 0) }
        }
        return rising
    }

    /// What arrives at a step: this interrupt itself, or, harder and later, one that nobody has asked for.
    func arriving(at step: StageStep) -> InterruptSignal {
        var signal = self
        signal.stage = step.stage
        if step.stage > stage, step.delay > .zero {
            signal.id = .random()
            signal.message = StageTexts.graceExpired
            signal.triggeredBy = "escalation"
            signal.triggeredAt = .now
            signal.source = .timeout
        }
        return signal
    }
}
