/// The one seam: what a worker needs from the place where runs are queued, recorded and interrupted.
///
/// Two implementations exist: `RedisTransport`, and ``InMemoryTransport`` for one process. Both pass the same contract
/// suite.
public protocol InterruptTransport: Sendable {
    /// Holds the connections and watches the runs; returns when its task is cancelled.
    func run() async

    /// Takes the worker's name for this instance, and returns the runs that an earlier instance has left behind. `dead` is
    /// an earlier holder of the name that is proven dead.
    ///
    /// - Throws: ``TransportError/nameInUse(by:)`` when another instance holds it, ``TransportError/unavailable(_:)`` when
    ///   it could not be asked.
    func enter(_ worker: WorkerDescription, replacing dead: String?) async throws(TransportError) -> [LeftRun]

    /// Ends a run that an earlier instance left behind and that is verified to be gone.
    func lose(_ run: RunID, why: String) async throws(TransportError)

    /// Says that the instance is alive, and with how many runs. Waits for no reply longer than the transport's command limit.
    ///
    /// - Returns: those of the `live` runs that are not this worker's any more: it had been taken for silent, and they were
    ///   taken over or given up.
    func heartbeat(running: Int, live: Set<RunID>) async throws(TransportError) -> Set<RunID>

    /// Lets the runs that are due be offered, and looks at all workers.
    func survey() async throws(TransportError) -> WorkerSurvey

    /// Puts on record that a worker is silent since the sign of life that was seen last, gives back what it was offered and
    /// has not started, and takes over its leased runs. Nothing of that when it has given another sign, or when the
    /// connection of the survey that showed it is lost: a server that has restarted may have forgotten a sign of life.
    ///
    /// - Returns: the runs that were taken over.
    func takeOver(_ silent: WorkerSign, seenOver connection: UInt64) async throws(TransportError) -> [RunID]

    /// Gives the name back. Best effort: an instance that could not say goodbye is found out by its silence.
    func leave() async

    /// Waits until at least one queued run is offered, and returns at most `limit` of them. An offer is no claim.
    func offers(limit: Int) async throws(TransportError) -> [RunOffer]

    /// Claims an offered run: the one atomic step from queued to running, or to its end when it must not start. A run that
    /// names no grace period has `gracePeriod`; it goes on record with the claim. What cannot be sent at once is unavailable:
    /// the worker may be told to take nothing new while a claim waits.
    func start(_ offer: RunOffer, gracePeriod: Duration) async throws(TransportError) -> StartResult

    /// Returns offers that this worker will not start to the queue. What was claimed is not returned; what was returned can
    /// not be claimed by the same offer any more.
    func giveBack(_ offers: [RunOffer]) async throws(TransportError)

    /// Delivers each interrupt for `order`'s run by calling `deliver`, until ``unwatch(_:)``. A delivery may come twice,
    /// late or out of order; the scope sorts that out.
    ///
    /// Tells besides whether the run is to be paused, each time that this changes, by calling `pausing`; with none, nobody
    /// looks. Both are called from any thread and must return at once.
    func watch(
        _ order: RunOrder,
        pausing: (@Sendable (_ isToBePaused: Bool) -> Void)?,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    )

    /// Ends the deliveries of a run.
    func unwatch(_ run: RunID)

    /// Writes the worker's receipt for an interrupt, and puts the interrupt on record if nobody has.
    func acknowledge(_ signal: InterruptSignal, way: DeliveryWay, for run: RunID) async throws(TransportError)

    /// Puts on record that a run is paused now, or goes on, and tells those who watch. A run that is neither running nor
    /// paused by now stays as it is.
    func record(isPaused: Bool, of run: RunID) async throws(TransportError)

    /// Records the leader's process, or that of the worker itself for a run of a handler, so that what a dead worker left
    /// behind can be found.
    func spawned(_ run: RunID, process: ProcessIdentity) async throws(TransportError)

    /// Puts on record how far a run is, and tells those who watch.
    func publish(_ progress: WorkProgress, of run: RunID) async throws(TransportError)

    /// Puts on record that a run goes on although it was asked to end, and tells those who watch.
    func publish(_ holdout: Holdout, of run: RunID) async throws(TransportError)

    /// Puts on record what a run tells of itself, and tells those who watch. The newest of each kind counts.
    func publish(_ note: RunNote, of run: RunID) async throws(TransportError)

    /// Adds to the bounded tail of a run's output.
    func append(_ output: [OutputChunk], of run: RunID) async throws(TransportError)

    /// Records how the run ended. A repetition after an unknown outcome is no error.
    func end(_ run: RunID, as ending: RunEnding) async throws(TransportError)

    /// Whether there is a connection now, as far as is known. Returns at once. A write is worth a try either way.
    var isReachable: Bool { get }

    /// Puts on record what the instance that the outcome names could not, this one or an earlier one of this worker.
    /// What is on record already stays as it is, and an end is final. On record it has happened when it did, as far as the
    /// transport has instants. `false` when the run itself is not on record.
    func record(_ outcome: WaitingOutcome) async throws(TransportError) -> Bool
}

extension InterruptTransport {
    /// Delivers as ``watch(_:pausing:deliver:)``, for a run that cannot be paused.
    public func watch(_ order: RunOrder, deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void) {
        watch(order, pausing: nil, deliver: deliver)
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
