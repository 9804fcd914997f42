import Synchronization

/// The transport within one process: for programs that run jobs without a server, and for tests at full speed.
///
/// It keeps the same table of states, the same record and the same receipts as the Redis contract.
public final class InMemoryTransport: InterruptTransport {
    /// A run as this transport knows it.
    public struct Run: Sendable {
        /// What to run.
        public var order: RunOrder
        /// Where it is in its life.
        public var state = RunState.queued
        /// What was asked, merged.
        public var inbox = InterruptInbox()
        /// The receipts, in order.
        public var receipts: [(signal: InterruptSignal, way: DeliveryWay)] = []
        /// The output, in order.
        public var output: [OutputChunk] = []
        /// Whether it is to be paused.
        public var isPauseAsked = false
        /// How it ended.
        public var ending: RunEnding?
        /// The instance that claimed it.
        public var instance: String?
        /// Its leader, or the process that has it, once it runs.
        public var process: ProcessIdentity?
        /// How far it is, as it has said last.
        public var progress: WorkProgress?
        /// Why it goes on although it was asked to end, as its worker has said last.
        public var holdout: Holdout?
        /// What it has told of itself, in order.
        public var notes: [RunNote] = []
        /// How often it was given back.
        fileprivate var returns = 0

        fileprivate var offer: RunOffer {
            RunOffer(run: order.run, queue: order.queue, entry: "\(order.run.rawValue)-\(returns)")
        }
    }

    fileprivate struct State {
        typealias Delivery = @Sendable (InterruptSignal, DeliveryWay) -> Void
        typealias Pausing = @Sendable (Bool) -> Void

        var runs: [RunID: Run] = [:]
        var waiting: [RunOffer] = []
        var deliveries: [RunID: Delivery] = [:]
        var pausings: [RunID: Pausing] = [:]
        var holder: NameHolder?
    }

    private let state = Mutex(State())
    /// Held while it changes whether a run is to be paused, until the run was told: it is told last what was asked last.
    private let telling = Mutex(())
    private let offered = Wakeup()

    /// A transport without any runs.
    public init() {}

    // MARK: For those who submit and interrupt

    /// Puts a run in the queue. Returns at once.
    public func submit(_ order: RunOrder) {
        state.withLock { state in
            let run = Run(order: order)
            state.runs[order.run] = run
            state.waiting.append(run.offer)
        }
        offered.signal()
    }

    /// Asks a run to stop. A queued run ends here; a running one is told. Returns at once, with what the request came to
    /// mean; `nil` when there is no such run or it has ended.
    @discardableResult
    public func interrupt(_ run: RunID, _ signal: InterruptSignal) -> InterruptInbox.Reception? {
        let (reception, deliver): (InterruptInbox.Reception?, State.Delivery?) = state.withLock { state in
            guard var entry = state.runs[run], !entry.state.isEnd else { return (nil, nil) }
            let reception = entry.inbox.receive(signal)
            if entry.state == .queued {
                entry.state = .interrupted
                entry.ending = RunEnding(state: .interrupted)
                entry.receipts.append((signal, .queued))
                state.waiting.removeAll { $0.run == run }
            }
            state.runs[run] = entry
            return (reception, state.deliveries[run])
        }
        deliver?(signal, .push)
        return reception
    }

    /// Asks that a run be paused. Returns at once; the run is paused when its state says so.
    @discardableResult
    public func pause(_ run: RunID) -> PauseOutcome { setPauseAsked(true, of: run) }

    /// Asks that a paused run go on. Returns at once; it goes on when its state says so.
    @discardableResult
    public func resume(_ run: RunID) -> PauseOutcome { setPauseAsked(false, of: run) }

    private func setPauseAsked(_ isAsked: Bool, of run: RunID) -> PauseOutcome {
        telling.withLock { _ in
            let (outcome, tell): (PauseOutcome, State.Pausing?) = state.withLock { state in
                guard let entry = state.runs[run] else { return (.missing, nil) }
                switch entry.state {
                case .queued: return (.queued, nil)
                case .cancelling: return (.cancelling, nil)
                case .completed, .failed, .interrupted, .lost: return (.ended, nil)
                case .running, .paused: break
                }
                if case .handler = entry.order.work { return (.handler, nil) }
                if entry.isPauseAsked == isAsked { return (.already, nil) }
                state.runs[run]?.isPauseAsked = isAsked
                return (isAsked || entry.state == .paused ? .recorded : .withdrawn, state.pausings[run])
            }
            tell?(isAsked)
            return outcome
        }
    }

    /// What is known of a run.
    public func run(_ run: RunID) -> Run? {
        state.withLock { $0.runs[run] }
    }

    // MARK: For the worker

    /// Returns when its task is cancelled; there is nothing to hold.
    public func run() async {
        let never = Wakeup()
        while !Task.isCancelled { await never.wait() }
    }

    /// Takes the name, and returns what an earlier instance has not ended.
    public func enter(_ worker: WorkerDescription, replacing dead: String?) async throws(TransportError) -> [LeftRun] {
        let (holder, left) = state.withLock { state -> (NameHolder?, [LeftRun]) in
            if let holder = state.holder, holder.instance != worker.instance, holder.instance != dead {
                return (holder, [])
            }
            state.holder = NameHolder(instance: worker.instance, host: worker.host, process: worker.process)
            let left = state.runs.values.filter { run in
                !run.state.isEnd && run.instance != nil && run.instance != worker.instance
            }
            return (
                nil,
                left.map { run in
                    let isInProcess: Bool = if case .handler = run.order.work { true } else { false }
                    return LeftRun(run: run.order.run, process: run.process, isInProcess: isInProcess)
                }
            )
        }
        if let holder { throw .nameInUse(by: holder) }
        return left
    }

    /// Ends a run without an outcome.
    public func lose(_ run: RunID, why: String) async throws(TransportError) {
        finish(run, as: RunEnding(state: .lost, error: why))
    }

    /// Nothing to do: whoever reads this transport lives in the same process.
    public func heartbeat(running: Int, live: Set<RunID>) async throws(TransportError) -> Set<RunID> { [] }

    /// There is no other worker, and nothing is tried again.
    public func survey() async throws(TransportError) -> WorkerSurvey { WorkerSurvey() }

    /// There is no other worker.
    public func takeOver(
        _ silent: WorkerSign,
        seenOver connection: UInt64
    ) async throws(TransportError) -> [RunID] { [] }

    /// Gives the name back.
    public func leave() async {
        state.withLock { $0.holder = nil }
    }

    /// Waits for queued runs.
    public func offers(limit: Int) async throws(TransportError) -> [RunOffer] {
        while !Task.isCancelled {
            let offers = state.withLock { state in
                let offers = Array(state.waiting.prefix(limit))
                state.waiting.removeFirst(offers.count)
                return offers
            }
            if !offers.isEmpty { return offers }
            await offered.wait()
        }
        return []
    }

    /// Claims a queued run. Repeating it is safe until the process is recorded, for the instance that has the name.
    public func start(_ offer: RunOffer, gracePeriod: Duration) async throws(TransportError) -> StartResult {
        state.withLock { state in
            guard var entry = state.runs[offer.run] else { return .gone }
            let instance = state.holder?.instance
            let isRepeated = entry.state == .running && entry.instance == instance && entry.process == nil
            // Given back meanwhile, it is another offer.
            guard entry.state == .queued && entry.offer == offer || isRepeated else { return .gone }
            entry.state = .running
            entry.instance = instance
            entry.order.gracePeriod = entry.order.gracePeriod ?? gracePeriod
            state.runs[offer.run] = entry
            return .started(entry.order, pending: [])
        }
    }

    /// Puts offers back to the end of the queue, those of runs that still wait in it.
    public func giveBack(_ offers: [RunOffer]) async throws(TransportError) {
        state.withLock { state in
            for offer in offers where state.runs[offer.run]?.state == .queued && state.runs[offer.run]?.offer == offer {
                state.runs[offer.run]!.returns += 1
                state.waiting.append(state.runs[offer.run]!.offer)
            }
        }
        offered.signal()
    }

    /// Delivers each interrupt, the ones from before the call too. `pausing` may not pause or resume a run itself.
    public func watch(
        _ order: RunOrder,
        pausing: (@Sendable (_ isToBePaused: Bool) -> Void)?,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) {
        let earlier = state.withLock { state -> [InterruptSignal] in
            state.deliveries[order.run] = deliver
            guard let inbox = state.runs[order.run]?.inbox, let cause = inbox.cause else { return [] }
            return [cause] + inbox.escalations
        }
        for signal in earlier { deliver(signal, .start) }
        telling.withLock { _ in
            let isPauseAsked = state.withLock { state in
                state.pausings[order.run] = pausing
                return state.runs[order.run]?.isPauseAsked ?? false
            }
            if isPauseAsked { pausing?(true) }
        }
    }

    /// Ends the deliveries of a run.
    public func unwatch(_ run: RunID) {
        state.withLock { state in
            state.deliveries[run] = nil
            state.pausings[run] = nil
        }
    }

    /// Keeps whether the run is paused.
    public func record(isPaused: Bool, of run: RunID) async throws(TransportError) {
        state.withLock { state in
            guard let entry = state.runs[run], entry.state == (isPaused ? .running : .paused) else { return }
            // Taken back meanwhile: that it goes on follows.
            if isPaused, !entry.isPauseAsked { return }
            state.runs[run]?.state = isPaused ? .paused : .running
        }
    }

    /// Writes the receipt.
    public func acknowledge(
        _ signal: InterruptSignal,
        way: DeliveryWay,
        for run: RunID
    ) async throws(TransportError) {
        state.withLock { state in
            guard var entry = state.runs[run], !entry.state.isEnd else { return }
            _ = entry.inbox.receive(signal)
            entry.receipts.append((signal, way))
            if entry.inbox.stage.shouldTerminateActiveTasks, entry.state.canBecome(.cancelling) {
                entry.state = .cancelling
                entry.isPauseAsked = false
            }
            state.runs[run] = entry
        }
    }

    /// Records the leader's process.
    public func spawned(_ run: RunID, process: ProcessIdentity) async throws(TransportError) {
        state.withLock { $0.runs[run]?.process = process }
    }

    /// Keeps how far the run is.
    public func publish(_ progress: WorkProgress, of run: RunID) async throws(TransportError) {
        state.withLock { state in
            if state.runs[run]?.state.isEnd == false { state.runs[run]?.progress = progress }
        }
    }

    /// Keeps why the run goes on.
    public func publish(_ holdout: Holdout, of run: RunID) async throws(TransportError) {
        state.withLock { state in
            if state.runs[run]?.state.isEnd == false { state.runs[run]?.holdout = holdout }
        }
    }

    /// Keeps what the run tells of itself.
    public func publish(_ note: RunNote, of run: RunID) async throws(TransportError) {
        state.withLock { state in
            if state.runs[run]?.state.isEnd == false { state.runs[run]?.notes.append(note) }
        }
    }

    /// Keeps the output.
    public func append(_ output: [OutputChunk], of run: RunID) async throws(TransportError) {
        state.withLock { $0.runs[run]?.output += output }
    }

    /// Records how the run ended.
    public func end(_ run: RunID, as ending: RunEnding) async throws(TransportError) {
        finish(run, as: ending)
    }

    /// Always: it is in this process.
    public var isReachable: Bool { true }

    /// Writes what an earlier instance could not.
    public func record(_ outcome: WaitingOutcome) async throws(TransportError) -> Bool {
        guard run(outcome.run) != nil else { return false }
        for receipt in outcome.receipts {
            try await acknowledge(receipt.signal, way: receipt.way, for: outcome.run)
        }
        if let ending = outcome.ending { try await end(outcome.run, as: ending) }
        return true
    }

    private func finish(_ run: RunID, as ending: RunEnding) {
        state.withLock { state in
            guard let entry = state.runs[run], entry.state.canBecome(ending.state) else { return }
            var ending = ending
            // Asked so late that the worker did not see it any more.
            let endedByItself = ending.state == .completed || ending.state == .failed
            if entry.inbox.stage.shouldTerminateActiveTasks, endedByItself { ending.isLateInterrupt = true }
            state.runs[run]?.state = ending.state
            state.runs[run]?.isPauseAsked = false
            state.runs[run]?.ending = ending
        }
    }
}
