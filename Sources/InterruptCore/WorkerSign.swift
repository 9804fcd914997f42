/// What was seen of a worker: how often it has given a sign of life.
public struct WorkerSign: Hashable, Sendable {
    /// The worker.
    public var worker: Name
    /// The start of it that was seen.
    public var instance: String
    /// Counts its signs of life.
    public var heartbeat: Int64
    /// How long it may be silent.
    public var lease: Duration

    /// A sign from its parts.
    public init(worker: Name, instance: String, heartbeat: Int64, lease: Duration) {
        self.worker = worker
        self.instance = instance
        self.heartbeat = heartbeat
        self.lease = lease
    }
}

/// One look at all workers.
public struct WorkerSurvey: Hashable, Sendable {
    /// The workers on record.
    public var signs: [WorkerSign]
    /// The connection that it came over, of this process: another number after each loss of it.
    public var connection: UInt64
    /// How long until the next run is due that waits to be tried again; `nil` when none waits.
    public var nextDue: Duration?

    /// A survey from its parts.
    public init(signs: [WorkerSign] = [], connection: UInt64 = 0, nextDue: Duration? = nil) {
        self.signs = signs
        self.connection = connection
        self.nextDue = nextDue
    }
}
