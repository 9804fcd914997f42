import InterruptCore
import Synchronization

@testable import InterruptWorker

/// What goes wrong around a transport, for the length of a test.
struct Faults: Sendable {
    /// How often the next calls are unavailable, by name; each call counts one down.
    var unavailable: [String: Int] = [:]
    /// How often the next calls are refused, by name.
    var refused: [String: Int] = [:]
    /// How often the next `start` is done but its reply lost.
    var lostStarts = 0
    var isReplaced = false
    /// What a heartbeat says that the worker still holds; `nil` when it says nothing of that.
    var kept: Set<RunID>?
    /// Whether there is no connection.
    var isAway = false
    /// Whether it only says so.
    var isCutOff = false
    /// Whether each offer is made twice.
    var repeatsOffers = false
    var left: [LeftRun] = []
    var holder: NameHolder?
}

/// The in-memory transport with faults, a gate behind `start`, and a list of what was written.
final class TroubledTransport: InterruptTransport {
    enum Write: Equatable {
        case spawned(RunID)
        case receipt(RunID, RequestID)
        case end(RunID, RunEnding)
        case progress(RunID, WorkProgress)
        case holdout(RunID, Holdout)
        case paused(RunID, Bool)
        case note(RunID, RunNote)
        case lost(RunID)
        case givenBack(RunID)
        case left
    }

    let base = InMemoryTransport()
    let faults = Mutex(Faults())
    private let written = Mutex<[Write]>([])
    /// With it, the reply to `start` waits for ``Wakeup/signal()``.
    let gate: Wakeup?
    let gateReached = Wakeup()

    init(gated: Bool = false) { gate = gated ? Wakeup() : nil }

    var writes: [Write] { written.withLock { $0 } }

    private func note(_ write: Write) { written.withLock { $0.append(write) } }

    private func check(_ name: String) throws(TransportError) {
        func counts(_ fault: WritableKeyPath<Faults, [String: Int]>) -> Bool {
            faults.withLock { faults in
                guard let count = faults[keyPath: fault][name], count > 0 else { return false }
                faults[keyPath: fault][name] = count - 1
                return true
            }
        }
        if faults.withLock({ $0.isAway }) || counts(\.unavailable) { throw .unavailable("test") }
        if counts(\.refused) { throw .refused("test") }
    }

    func run() async { await base.run() }

    func enter(_ worker: WorkerDescription, replacing dead: String?) async throws(TransportError) -> [LeftRun] {
        try check("enter")
        let (holder, left) = faults.withLock { ($0.holder, $0.left) }
        if let holder, holder.instance != dead { throw .nameInUse(by: holder) }
        return try await base.enter(worker, replacing: dead) + left
    }

    func lose(_ run: RunID, why: String) async throws(TransportError) {
        try check("lose")
        note(.lost(run))
        try await base.lose(run, why: why)
    }

    func heartbeat(running: Int, live: Set<RunID>) async throws(TransportError) -> Set<RunID> {
        try check("heartbeat")
        if faults.withLock({ $0.isReplaced }) { throw .replaced }
        return faults.withLock { $0.kept }.map { live.subtracting($0) } ?? []
    }

    func survey() async throws(TransportError) -> WorkerSurvey {
        try check("survey")
        return WorkerSurvey()
    }

    func takeOver(
        _ silent: WorkerSign,
        seenOver connection: UInt64
    ) async throws(TransportError) -> [RunID] { [] }

    func leave() async {
        note(.left)
        await base.leave()
    }

    func offers(limit: Int) async throws(TransportError) -> [RunOffer] {
        try check("offers")
        let offers = try await base.offers(limit: limit)
        return faults.withLock { $0.repeatsOffers } ? offers + offers : offers
    }

    func start(_ offer: RunOffer, gracePeriod: Duration) async throws(TransportError) -> StartResult {
        try check("start")
        let result = try await base.start(offer, gracePeriod: gracePeriod)
        gateReached.signal()
        await gate?.wait()
        let isLost = faults.withLock { faults in
            faults.lostStarts -= 1
            return faults.lostStarts >= 0
        }
        if isLost { throw .unavailable("the reply was lost") }
        return result
    }

    func giveBack(_ offers: [RunOffer]) async throws(TransportError) {
        try check("giveBack")
        for offer in offers { note(.givenBack(offer.run)) }
        try await base.giveBack(offers)
    }

    func watch(
        _ order: RunOrder,
        pausing: (@Sendable (_ isToBePaused: Bool) -> Void)?,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) {
        base.watch(order, pausing: pausing, deliver: deliver)
    }

    func unwatch(_ run: RunID) { base.unwatch(run) }

    func acknowledge(_ signal: InterruptSignal, way: DeliveryWay, for run: RunID) async throws(TransportError) {
        try check("acknowledge")
        note(.receipt(run, signal.id))
        try await base.acknowledge(signal, way: way, for: run)
    }

    func spawned(_ run: RunID, process: ProcessIdentity) async throws(TransportError) {
        try check("spawned")
        note(.spawned(run))
        try await base.spawned(run, process: process)
    }

    func publish(_ progress: WorkProgress, of run: RunID) async throws(TransportError) {
        try check("progress")
        note(.progress(run, progress))
        try await base.publish(progress, of: run)
    }

    func publish(_ holdout: Holdout, of run: RunID) async throws(TransportError) {
        try check("holdout")
        note(.holdout(run, holdout))
        try await base.publish(holdout, of: run)
    }

    func record(isPaused: Bool, of run: RunID) async throws(TransportError) {
        try check("paused")
        note(.paused(run, isPaused))
        try await base.record(isPaused: isPaused, of: run)
    }

    func publish(_ note: RunNote, of run: RunID) async throws(TransportError) {
        try check("note")
        self.note(.note(run, note))
        try await base.publish(note, of: run)
    }

    func append(_ output: [OutputChunk], of run: RunID) async throws(TransportError) {
        try check("append")
        try await base.append(output, of: run)
    }

    func end(_ run: RunID, as ending: RunEnding) async throws(TransportError) {
        try check("end")
        note(.end(run, ending.bare))
        try await base.end(run, as: ending)
    }

    var isReachable: Bool { !faults.withLock { $0.isAway || $0.isCutOff } }

    func record(_ outcome: WaitingOutcome) async throws(TransportError) -> Bool {
        try check("record")
        // What has waited for a second comes by this way: it is no less refused.
        if !outcome.receipts.isEmpty { try check("acknowledge") }
        if outcome.ending != nil { try check("end") }
        guard try await base.record(outcome) else { return false }
        for receipt in outcome.receipts { note(.receipt(outcome.run, receipt.signal.id)) }
        if let ending = outcome.ending { note(.end(outcome.run, ending.bare)) }
        return true
    }
}
