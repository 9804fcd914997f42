/// A queued run that a worker may start.
public struct RunOffer: Hashable, Sendable {
    /// The run.
    public var run: RunID
    /// The queue it waits in.
    public var queue: Name
    /// Its place in the queue.
    public var entry: String

    /// An offer from its parts.
    public init(run: RunID, queue: Name, entry: String) {
        self.run = run
        self.queue = queue
        self.entry = entry
    }
}

/// What to run: everything a worker needs to start a run that it has claimed.
public struct RunOrder: Hashable, Sendable {
    /// What a run executes.
    public enum Work: Hashable, Sendable {
        /// A child process: program and arguments, as bytes. An argument need not be text.
        case command([[UInt8]])
        /// A Swift function of the worker's own program, by the name it was registered under, and what it is given.
        case handler(Name, input: String)

        /// The longest input, in bytes: as long as Linux lets one argument of a command be.
        public static let maximumInputSize = 128 * 1_024
    }

    /// The execution.
    public var run: RunID
    /// The job it executes.
    public var job: Name
    /// Counts the runs of one submission, from 1.
    public var attempt: Int
    /// How often the job is tried again after a run that failed or was lost.
    public var retries: Int
    /// The queue it came from.
    public var queue: Name
    /// The groups it belongs to.
    public var groups: [Name]
    /// What it executes.
    public var work: Work
    /// The working directory of a command; `nil` is the worker's own.
    public var directory: String?
    /// What a command has set besides the worker's clean base.
    public var environment: [String: [UInt8]]
    /// The time between asking and forcing; `nil` is the worker's default.
    public var gracePeriod: Duration?
    /// Interrupts the run with reason `timeout` after this long.
    public var timeout: Duration?
    /// Whether the time for which the run is paused counts towards its timeout.
    public var chargesPausedTime: Bool
    /// How much a command may use.
    public var limits: RunLimits
    /// What is done beside a command.
    public var hooks: RunHooks
    /// Whether whoever submitted it is known to have the worker's key.
    public var signature = RunSignature.unchecked

    /// An order from its parts.
    public init(
        run: RunID,
        job: Name,
        attempt: Int = 1,
        retries: Int = 0,
        queue: Name,
        groups: [Name] = [],
        work: Work,
        directory: String? = nil,
        environment: [String: [UInt8]] = [:],
        gracePeriod: Duration? = nil,
        timeout: Duration? = nil,
        chargesPausedTime: Bool = false,
        limits: RunLimits = RunLimits(),
        hooks: RunHooks = RunHooks()
    ) {
        self.run = run
        self.job = job
        self.attempt = attempt
        self.retries = retries
        self.queue = queue
        self.groups = groups
        self.work = work
        self.directory = directory
        self.environment = environment
        self.gracePeriod = gracePeriod
        self.timeout = timeout
        self.chargesPausedTime = chargesPausedTime
        self.limits = limits
        self.hooks = hooks
    }

    /// Whether the run is its worker's only as long as that can renew its lease: another may take it over then. A function
    /// of the worker's own process cannot be ended for certain from outside, so it is nobody else's.
    public var isLeased: Bool { if case .command = work { retries > 0 } else { false } }
}

/// Whether a submission is signed by somebody who has the worker's key.
public enum RunSignature: Hashable, Sendable {
    /// The worker has no key: nobody has looked.
    case unchecked
    /// It is, all of it, and it came in time.
    case valid
    /// It is not; why, as the end of a sentence about the run.
    case invalid(String)
}

/// What became of an offer.
public enum StartResult: Hashable, Sendable {
    /// The run is this worker's. `pending` came in before: apply it before spawning.
    case started(RunOrder, pending: [InterruptSignal])
    /// Somebody else has it, or it has ended: nothing to do.
    case gone
}

/// How an interrupt reached the worker.
public enum DeliveryWay: String, Sendable, CaseIterable {
    /// By the published message.
    case push
    /// By an invalidation of a tracked key.
    case tracked
    /// By the regular poll.
    case poll
    /// By the reading that follows every connect.
    case reconnect
    /// With the start script's reply.
    case start
    /// It met the run in the queue.
    case queued
    /// It arose in the worker itself.
    case local
}
