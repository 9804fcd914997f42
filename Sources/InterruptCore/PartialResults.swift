/// What became of many items, each in its original place, also when they were interrupted half-way.
public struct PartialResults<Value: Sendable>: Sendable {
    /// What became of one item. Exactly one of these.
    public enum Outcome: Sendable {
        /// It ended with its value. A value that came after the interrupt counts as any other.
        case completed(Value)
        /// It ended with an error of its own.
        case failed(any Error)
        /// It never started.
        case cancelled(InterruptSignal)
        /// It had started, and ended because it was asked to.
        case terminated(InterruptSignal)
        /// It had started, was asked to end, and was still running when its limit was over.
        case stillRunning(InterruptSignal)
    }

    /// One for each item, in the order of the items.
    public let outcomes: [Outcome]

    /// The values of what completed, each with the place of its item.
    public var values: [(index: Int, value: Value)] {
        outcomes.enumerated().compactMap { index, outcome in
            if case .completed(let value) = outcome { (index, value) } else { nil }
        }
    }

    /// How many items there are of each kind.
    public var counts: WorkCounts {
        var counts = WorkCounts(total: outcomes.count)
        for outcome in outcomes {
            switch outcome {
            case .completed: counts.completed += 1
            case .failed: counts.failed += 1
            case .cancelled: counts.cancelled += 1
            case .terminated: counts.terminated += 1
            case .stillRunning: counts.running += 1
            }
        }
        return counts
    }

    /// Whether every item has ended by itself.
    public var isWhole: Bool { counts.completed + counts.failed == outcomes.count }
}

/// How far many items are. Each item is in exactly one of the counts, or waits.
public struct WorkCounts: Hashable, Sendable {
    /// All items.
    public var total: Int
    /// Ended with a value.
    public var completed = 0
    /// Ended with an error of their own.
    public var failed = 0
    /// Started and not ended.
    public var running = 0
    /// Ended because they were asked to.
    public var terminated = 0
    /// Never started, and never will.
    public var cancelled = 0

    /// Counts of `total` items that wait.
    public init(total: Int) { self.total = total }

    /// Not started yet.
    public var waiting: Int { total - completed - failed - running - terminated - cancelled }
}
