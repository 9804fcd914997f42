/// A worker as others see it.
public struct WorkerDescription: Hashable, Sendable {
    /// The name, unique among live workers.
    public var name: Name
    /// This start of it.
    public var instance: String
    /// The host it runs on.
    public var host: String
    /// Its process.
    public var process: ProcessIdentity
    /// How many runs it holds at a time.
    public var slots: Int
    /// The program's version.
    public var version: String
    /// The queues it takes from, the first one first.
    public var queues: [Name]

    /// How it holds the processes of a run together, for people; empty when it runs none.
    public var containment: String
    /// The longest time between two of its signs of life after which it counts as silent.
    public var lease: Duration

    /// A description from its parts.
    public init(
        name: Name,
        instance: String,
        host: String,
        process: ProcessIdentity,
        slots: Int,
        version: String,
        queues: [Name],
        lease: Duration,
        containment: String = ""
    ) {
        self.name = name
        self.instance = instance
        self.host = host
        self.process = process
        self.slots = slots
        self.version = version
        self.queues = queues
        self.lease = lease
        self.containment = containment
    }
}

/// A process that cannot be taken for another one: ids are reused, starts within one boot are not.
public struct ProcessIdentity: Hashable, Sendable {
    /// The boot and the process namespace it lives in.
    public var boot: String
    /// The process id.
    public var pid: Int32
    /// When it started, in clock ticks since the boot.
    public var start: UInt64

    /// An identity from its parts.
    public init(boot: String, pid: Int32, start: UInt64) {
        self.boot = boot
        self.pid = pid
        self.start = start
    }
}

/// A run that an earlier instance of a worker had claimed and not ended.
public struct LeftRun: Hashable, Sendable {
    /// The run.
    public var run: RunID
    /// Its leader, when one was recorded; of a run of a handler, the process that had it.
    public var process: ProcessIdentity?
    /// Whether it is a run of a handler: it ends with that process, and is never signalled.
    public var isInProcess: Bool

    /// A left run from its parts.
    public init(run: RunID, process: ProcessIdentity?, isInProcess: Bool = false) {
        self.run = run
        self.process = process
        self.isInProcess = isInProcess
    }
}

/// Who holds a worker's name.
public struct NameHolder: Hashable, Sendable {
    /// That start of the worker.
    public var instance: String
    /// Its host.
    public var host: String
    /// Its process.
    public var process: ProcessIdentity

    /// A holder from its parts.
    public init(instance: String, host: String, process: ProcessIdentity) {
        self.instance = instance
        self.host = host
        self.process = process
    }
}
