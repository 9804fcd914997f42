/// What a worker has to put on record of one run and could not yet, because the transport is out of reach.
public struct WaitingOutcome: Hashable, Sendable {
    /// An interrupt that the worker has taken in.
    public struct Receipt: Hashable, Sendable {
        /// The interrupt.
        public var signal: InterruptSignal
        /// How it reached the worker.
        public var way: DeliveryWay

        /// A receipt from its parts.
        public init(signal: InterruptSignal, way: DeliveryWay) {
            (self.signal, self.way) = (signal, way)
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

    /// An outcome from its parts.
    public init(run: RunID, instance: String, receipts: [Receipt] = [], ending: RunEnding? = nil) {
        self.run = run
        self.instance = instance
        self.receipts = receipts
        self.ending = ending
    }

    /// Whether nothing waits.
    public var isEmpty: Bool { receipts.isEmpty && ending == nil }
}
