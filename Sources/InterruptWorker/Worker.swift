public import InterruptCore
public import Logging
import Synchronization
public import SystemPackage

/// Takes runs from a transport and sees each of them to its recorded end, several at a time.
public final class Worker<Transport: InterruptTransport>: Sendable {
    /// What a worker is told beforehand.
    public struct Configuration: Sendable {
        /// Who it is.
        public var description: WorkerDescription
        /// Whether every worker of this transport runs on this machine, as with an embedded Redis.
        public var isOnlyMachine = false
        /// How long a run may go on after stage 1 before that is reported.
        public var drainWarning: Duration = .seconds(60)
        /// How long a job of this process may go on after it was forced before it is reported as one that cannot be
        /// interrupted yet; and, when the worker itself is at stage 3, before that goes without it.
        public var giveUpAfter = StopLimits.survival
        /// Says whether a run may be started here, and as what; asked once, right before the start. It may look at the
        /// file system, and must not wait for anything else.
        public var admission: @Sendable (RunOrder) -> Admission = { _ in .asItIs }
        /// Where receipts and ends wait while the transport is out of reach, in a directory that is named after the
        /// worker; the next instance of it records them. `nil`, the default, keeps them in memory only. The directory
        /// that it is in has to exist.
        public var outbox: FilePath?
        /// What an interrupt means for a run, asked when it starts; none is what it says.
        public var strategies: @Sendable (RunOrder) -> [any InterruptStrategy] = { _ in [] }

        /// A configuration that starts every run.
        public init(description: WorkerDescription) {
            self.description = description
        }
    }

    /// A run that is being carried out.
    struct LiveRun {
        /// Interrupts it as a part of the worker itself.
        var interrupt: @Sendable (InterruptSignal) -> Void
        /// Interrupts it alone.
        var deliver: @Sendable (InterruptSignal) -> Void
        /// Of a leased run.
        var fence: RunFence?
    }

    struct State {
        var decisions: WorkerState
        var live: [RunID: LiveRun] = [:]
        var own: InterruptSignal?
        var lease: Lease<BootTime>
        var isReplaced = false
        var gracePeriod: Duration?
    }

    let configuration: Configuration
    let transport: Transport
    let runner: ProcessRunner?
    let jobs: JobRegistry
    let logger: Logger
    let report: @Sendable (WorkerEvent) -> Void
    let state: Mutex<State>
    let slotFreed = Wakeup()
    let drained = Wakeup()
    /// Signalled when a job may be tried again: somebody has to offer it when it is due.
    let retried = Wakeup()
    let outbox: Outbox?
    let lastCall = LastCall()

    /// A worker; ``run()`` runs it.
    ///
    /// - `runner`: runs what was submitted as a command; without one such a run fails, and says so.
    /// - `jobs`: the functions that run in this process.
    /// - `report`: called with each event, from any thread; it must return at once.
    public init(
        configuration: Configuration,
        transport: Transport,
        runner: ProcessRunner?,
        jobs: JobRegistry = JobRegistry(),
        logger: Logger,
        report: @escaping @Sendable (WorkerEvent) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.transport = transport
        self.runner = runner
        self.jobs = jobs
        self.logger = logger
        self.report = report
        outbox = configuration.outbox.map { directory in
            Outbox(in: directory.appending(configuration.description.name.description), logger: logger)
        }
        state = Mutex(
            State(
                decisions: WorkerState(slots: configuration.description.slots),
                lease: Lease(length: configuration.description.lease)
            )
        )
    }

    /// How many runs the worker holds now.
    public var heldCount: Int { state.withLock { $0.decisions.heldCount } }

    /// The grace period, from now on, of runs that start and name none. Until this is called, the
    /// runner's; without a runner `StopLimits.gracePeriod`.
    public func setGracePeriod(_ gracePeriod: Duration) {
        state.withLock { $0.gracePeriod = gracePeriod }
    }

    /// Works until it was interrupted and everything it held has ended and is recorded. Cancelling its task is stage 3.
    ///
    /// - Throws: ``WorkerError`` when the worker's name is another's. An unreachable transport is waited for, except at
    ///   stage 3.
    public func run() async throws(WorkerError) {
        // Awaited right here. Not a child task: cancellation is stage 3 and no more, so that what it ends is recorded.
        let life = Task { await self.live() }
        let result = await withTaskCancellationHandler {
            await life.value
        } onCancel: {
            interrupt(.kill, reason: .systemShutdown)
        }
        try result.get()
    }

    private func live() async -> Result<Void, WorkerError> {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.transport.run() }
            defer { group.cancelAll() }
            do throws(WorkerError) {
                guard let left = try await enter() else { return .success(()) }
                report(.entered)
                group.addTask { await self.beat() }
                group.addTask { await self.watchOthers() }
                let settled = await recordOutbox()
                let leftBehind = LeftBehind(
                    transport: transport,
                    isOnlyMachine: configuration.isOnlyMachine,
                    logger: logger,
                    isHurried: isHurried
                )
                let stillThere = await leftBehind.end(left.filter { !settled.contains($0.run) })
                for run in stillThere { group.addTask { await leftBehind.endLater(run) } }
                await work()
                await sayWhatWaits()
                if state.withLock({ $0.isReplaced }) { throw .replaced }
                // Whoever is to go now says goodbye only where somebody hears it.
                let transport = transport
                await lastCall.cut(unless: { transport.isReachable }) { await transport.leave() }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
    }

    /// Interrupts the worker itself: from stage 1 on it takes nothing new. Every run is told; only stage 2 and 3 end
    /// them, if no strategy says otherwise. Returns at once. The stage only rises.
    public func interrupt(
        _ stage: InterruptStage,
        reason: InterruptReason,
        message: String? = nil,
        triggeredBy: String? = nil,
        gracePeriod: Duration? = nil
    ) {
        let signal = InterruptSignal(
            stage: stage,
            reason: reason,
            message: message,
            triggeredBy: triggeredBy,
            gracePeriod: gracePeriod,
            source: .unixSignal,
            target: .worker(configuration.description.name)
        )
        let (escalation, held, live) = state.withLock { state in
            let escalation = state.decisions.escalate(to: stage)
            if escalation != .none { state.own = signal }
            return (escalation, state.decisions.heldCount, Array(state.live.values))
        }
        guard case .raised(let previous) = escalation else { return }
        drained.signal()
        slotFreed.signal()
        if stage == .kill { lastCall.make() }
        report(.stage(from: previous, to: stage, held: held))
        for run in live { run.interrupt(signal) }
    }

    // MARK: The worker's own life

    /// Takes the name, waiting for an unreachable transport; `nil` when the worker was interrupted first.
    private func enter() async throws(WorkerError) -> [LeftRun]? {
        var dead: String?
        var backoff = RetryPause()
        var said: String?
        while state.withLock({ $0.decisions.stage == nil }) {
            do throws(TransportError) {
                return try await transport.enter(configuration.description, replacing: dead)
            } catch {
                switch error {
                case .nameInUse(let holder):
                    // Only a process that is proven dead loses its name.
                    guard dead == nil,
                        holder.process.isProvenDead(isThisMachine: configuration.isOnlyMachine)
                    else { throw .nameInUse(holder) }
                    dead = holder.instance
                case .replaced: throw .replaced
                case .refused(let why): throw .refused(why)
                case .unavailable(let why):
                    if why != said {
                        logger.warning("cannot enter yet", metadata: ["why": "\(why.escapedForDisplay())"])
                    }
                    said = why
                    await backoff.wait(orUntil: drained)
                }
            }
        }
        return nil
    }

    func stopReplaced() {
        state.withLock { $0.isReplaced = true }
        interrupt(.kill, reason: .systemShutdown, message: "another instance has taken this worker's name")
    }

    /// Whether nothing is waited for any more but the end of what runs.
    var isHurried: @Sendable () -> Bool {
        { self.stage.shouldExitImmediately }
    }

    var stage: InterruptStage? { state.withLock { $0.decisions.stage } }

    var gracePeriod: Duration {
        state.withLock { $0.gracePeriod } ?? runner?.defaultGracePeriod ?? StopLimits.gracePeriod
    }
}
