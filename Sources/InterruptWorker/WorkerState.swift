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

    /// What becomes of an offered run.
    enum Taking: Equatable {
        /// It has a slot now.
        case taken
        /// It is held already: an offer may come twice. ``release(_:)`` returns it.
        case held
        /// Nothing is taken any more.
        case refused
    }

    private let slots: Int
    /// The runs that have a slot, with what was offered of each meanwhile.
    private var held: [RunID: Set<RunOffer>] = [:]
    /// The stage this worker itself is at; from the first one on it takes nothing new.
    private(set) var stage: InterruptStage?

    init(slots: Int) {
        self.slots = slots
    }

    /// How many more runs may be taken now.
    var freeSlots: Int { stage == nil ? slots - held.count : 0 }

    /// How many runs are held.
    var heldCount: Int { held.count }

    /// Takes a slot for an offered run.
    mutating func take(_ offer: RunOffer) -> Taking {
        if held[offer.run] != nil {
            held[offer.run]?.insert(offer)
            return .held
        }
        guard stage == nil else { return .refused }
        held[offer.run] = []
        return .taken
    }

    /// Frees the run's slot, and returns what was offered of it meanwhile, to be given back: a run that a gate holds back
    /// is offered again by the queue before its slot is free.
    mutating func release(_ run: RunID) -> [RunOffer] {
        Array(held.removeValue(forKey: run) ?? [])
    }

    /// The stage only rises.
    mutating func escalate(to stage: InterruptStage) -> Escalation {
        let previous = self.stage
        if let previous, previous >= stage { return .none }
        self.stage = stage
        return .raised(from: previous)
    }
}
