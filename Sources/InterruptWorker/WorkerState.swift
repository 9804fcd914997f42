import InterruptCore

/// Decides what a worker takes on and when it is done. Never waits, locks, logs or reads a clock.
struct WorkerState: Sendable {
    /// What asking for a stage changes.
    enum Escalation: Equatable {
        /// The stage was asked for before, or a harder one.
        case none
        /// The stage rises.
        case raised(from: InterruptStage?)
    }

    private let slots: Int
    private var held: Set<RunID> = []
    /// The stage this worker itself is at; from the first one on it takes nothing new.
    private(set) var stage: InterruptStage?

    init(slots: Int) {
        self.slots = slots
    }

    /// How many more runs may be taken now.
    var freeSlots: Int { stage == nil ? slots - held.count : 0 }

    /// How many runs are held.
    var heldCount: Int { held.count }

    /// Takes a slot for an offered run; `false` when it is held already (an offer may come twice) or nothing is taken any
    /// more.
    mutating func take(_ run: RunID) -> Bool {
        guard stage == nil else { return false }
        return held.insert(run).inserted
    }

    /// Frees the run's slot.
    mutating func release(_ run: RunID) {
        held.remove(run)
    }

    /// The stage only rises.
    mutating func escalate(to stage: InterruptStage) -> Escalation {
        let previous = self.stage
        if let previous, previous >= stage { return .none }
        self.stage = stage
        return .raised(from: previous)
    }
}
