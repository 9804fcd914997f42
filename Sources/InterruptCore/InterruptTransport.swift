/// The one seam: what a worker needs from the place where runs are queued, recorded and interrupted.
///
/// Two implementations exist: `RedisTransport`, and ``InMemoryTransport`` for one process. Both pass the same contract
/// suite.
public protocol InterruptTransport: Sendable {
    /// Holds the connections and watches the runs; returns when its task is cancelled.
    func run() async

    /// Takes the worker's name for this instance, and returns the runs that an earlier instance has left behind.
    ///
    /// - Parameter dead: an earlier holder of the name that is proven dead.
    /// - Throws: ``TransportError/nameInUse(by:)`` when another instance holds it, ``TransportError/unavailable(_:)`` when
    ///   it could not be asked.
    func enter(_ worker: WorkerDescription, replacing dead: String?) async throws(TransportError) -> [LeftRun]

    /// Ends a run that an earlier instance left behind and that is verified to be gone.
    func lose(_ run: RunID, why: String) async throws(TransportError)

    /// Says that the instance is alive. Waits for no reply longer than the transport's command limit.
    func heartbeat(running: Int) async throws(TransportError)

    /// Gives the name back. Best effort: an instance that could not say goodbye is found out by its silence.
    func leave() async

    /// Waits until at least one queued run is offered, and returns at most `limit` of them. An offer is no claim.
    func offers(limit: Int) async throws(TransportError) -> [RunOffer]

    /// Claims an offered run: the one atomic step from queued to running, or to its end when it must not start.
    ///
    /// - Parameter gracePeriod: that of a run that names none; it goes on record with the claim.
    func start(_ offer: RunOffer, gracePeriod: Duration) async throws(TransportError) -> StartResult

    /// Returns offers that this worker will not start to the queue.
    func giveBack(_ offers: [RunOffer]) async throws(TransportError)

    /// Delivers each interrupt for `order`'s run by calling `deliver`, until ``unwatch(_:)``. A delivery may come twice,
    /// late or out of order; the scope sorts that out. `deliver` is called from any thread and must return at once.
    func watch(_ order: RunOrder, deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void)

    /// Ends the deliveries of a run.
    func unwatch(_ run: RunID)

    /// Writes the worker's receipt for an interrupt, and puts the interrupt on record if nobody has.
    func acknowledge(_ signal: InterruptSignal, way: DeliveryWay, for run: RunID) async throws(TransportError)

    /// Records the leader's process, so that what a dead worker left behind can be found.
    func spawned(_ run: RunID, process: ProcessIdentity) async throws(TransportError)

    /// Adds to the bounded tail of a run's output.
    func append(_ output: [OutputChunk], of run: RunID) async throws(TransportError)

    /// Records how the run ended. A repetition after an unknown outcome is no error.
    func end(_ run: RunID, as ending: RunEnding) async throws(TransportError)
}

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
        lease: Duration
    ) {
        self.name = name
        self.instance = instance
        self.host = host
        self.process = process
        self.slots = slots
        self.version = version
        self.queues = queues
        self.lease = lease
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
    /// Its leader, when one was recorded.
    public var process: ProcessIdentity?

    /// A left run from its parts.
    public init(run: RunID, process: ProcessIdentity?) {
        self.run = run
        self.process = process
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
    /// The execution.
    public var run: RunID
    /// The job it executes.
    public var job: Name
    /// Counts the runs of one submission, from 1.
    public var attempt: Int
    /// The queue it came from.
    public var queue: Name
    /// The groups it belongs to.
    public var groups: [Name]
    /// Program and arguments, as bytes: an argument need not be text.
    public var command: [[UInt8]]
    /// The working directory; `nil` is the worker's own.
    public var directory: String?
    /// What is set besides the worker's clean base.
    public var environment: [String: [UInt8]]
    /// The time between asking and forcing; `nil` is the worker's default.
    public var gracePeriod: Duration?
    /// Interrupts the run with reason `timeout` after this long.
    public var timeout: Duration?

    /// An order from its parts.
    public init(
        run: RunID,
        job: Name,
        attempt: Int = 1,
        queue: Name,
        groups: [Name] = [],
        command: [[UInt8]],
        directory: String? = nil,
        environment: [String: [UInt8]] = [:],
        gracePeriod: Duration? = nil,
        timeout: Duration? = nil
    ) {
        self.run = run
        self.job = job
        self.attempt = attempt
        self.queue = queue
        self.groups = groups
        self.command = command
        self.directory = directory
        self.environment = environment
        self.gracePeriod = gracePeriod
        self.timeout = timeout
    }
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

/// How a run ended.
public struct RunEnding: Hashable, Sendable {
    /// The end state.
    public var state: RunState
    /// The exit status, when the leader exited.
    public var exitCode: Int32?
    /// The Unix signal that ended the leader.
    public var termSignal: Int32?
    /// Whether a core was dumped.
    public var dumpedCore: Bool
    /// An interrupt was asked but did not cause the end.
    public var isLateInterrupt: Bool
    /// Why a run failed without an exit status.
    public var error: String?
    /// The processes of the run that SIGKILL did not end. With any, the run does not count as stopped.
    public var survivors: [Int32]
    /// What it has written; `nil` when it never ran.
    public var output: RunOutput?

    /// An ending from its parts.
    public init(
        state: RunState,
        exitCode: Int32? = nil,
        termSignal: Int32? = nil,
        dumpedCore: Bool = false,
        isLateInterrupt: Bool = false,
        error: String? = nil,
        survivors: [Int32] = [],
        output: RunOutput? = nil
    ) {
        self.state = state
        self.exitCode = exitCode
        self.termSignal = termSignal
        self.dumpedCore = dumpedCore
        self.isLateInterrupt = isLateInterrupt
        self.error = error
        self.survivors = survivors
        self.output = output
    }
}

/// What is known of a run's output when it has ended.
public struct RunOutput: Hashable, Sendable {
    /// How much it has written, both streams together.
    public var byteCount: Int64
    /// The file on the worker that has all of it; `nil` when none has.
    public var file: String?
    /// The end of the last line that is not empty, at most 400 bytes.
    public var lastLine: String?

    /// An output from its parts.
    public init(byteCount: Int64, file: String? = nil, lastLine: String? = nil) {
        self.byteCount = byteCount
        self.file = file
        self.lastLine = lastLine
    }
}

/// A piece of a run's output.
public struct OutputChunk: Hashable, Sendable {
    /// Which of the two streams it was written to.
    public enum Stream: String, Sendable {
        /// Standard output.
        case output = "out"
        /// Standard error.
        case error = "err"
    }

    /// The stream.
    public var stream: Stream
    /// Where the piece begins in the run's file, in bytes; a gap to the end of the piece before is what was left out.
    public var offset: Int64
    /// The bytes.
    public var bytes: [UInt8]

    /// A chunk from its parts.
    public init(stream: Stream, offset: Int64, bytes: [UInt8]) {
        self.stream = stream
        self.offset = offset
        self.bytes = bytes
    }
}

/// Why a transport could not do what was asked.
public enum TransportError: Error, Hashable, CustomStringConvertible {
    /// It cannot be reached now; nothing is known about the effect. Asking again is safe.
    case unavailable(String)
    /// It refused, and would again.
    case refused(String)
    /// Another instance has the worker's name.
    case nameInUse(by: NameHolder)
    /// Another instance took the worker's name over: this one must stop.
    case replaced

    /// One sentence.
    public var description: String {
        switch self {
        case .unavailable(let why): "unavailable: \(why)"
        case .refused(let why): "refused: \(why)"
        case .nameInUse(let holder): "the name is in use by process \(holder.process.pid) on host \(holder.host)"
        case .replaced: "another instance has taken this worker's name"
        }
    }
}
