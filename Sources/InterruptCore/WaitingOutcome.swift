/// What a worker has to put on record of one run and could not yet, because the transport is out of reach.
public struct WaitingOutcome: Hashable, Sendable {
    /// An interrupt that the worker has taken in.
    public struct Receipt: Hashable, Sendable {
        /// The interrupt.
        public var signal: InterruptSignal
        /// How it reached the worker.
        public var way: DeliveryWay
        /// When, by the worker's clock; `nil` for the moment in which it is recorded.
        public var takenAt: Timestamp?

        /// A receipt from its parts.
        public init(signal: InterruptSignal, way: DeliveryWay, takenAt: Timestamp? = nil) {
            (self.signal, self.way, self.takenAt) = (signal, way, takenAt)
        }
    }

    /// The run.
    public var run: RunID
    /// The instance of the worker that has the run: nobody else's word counts for it.
    public var instance: String
    /// The receipts, in order.
    public var receipts: [Receipt]
    /// How the run ended; `nil` while it goes on.
    public var ending: RunEnding?
    /// When it ended, by the worker's clock; `nil` for the moment in which that is recorded.
    public var endedAt: Timestamp?

    /// An outcome from its parts.
    public init(
        run: RunID,
        instance: String,
        receipts: [Receipt] = [],
        ending: RunEnding? = nil,
        endedAt: Timestamp? = nil
    ) {
        self.run = run
        self.instance = instance
        self.receipts = receipts
        self.ending = ending
        self.endedAt = endedAt
    }

    /// Whether nothing waits.
    public var isEmpty: Bool { receipts.isEmpty && ending == nil }
}
