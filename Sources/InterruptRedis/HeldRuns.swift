import InterruptCore
import Logging
import Synchronization

/// The runs that an instance of a worker holds, and the ends that it has put on record in the last minute: what it
/// compares with the server's records after every connect. A server that has taken the place of another one may know less.
final class HeldRuns: Sendable {
    private struct Run {
        var offer: RunOffer
        var gracePeriod: Duration
        var process: ProcessIdentity?
        /// What is put on record of it, if it was ever paused: known before it is written.
        var isPaused: Bool?
    }

    /// An end that is on record.
    private struct End {
        var run: Run
        var ending: RunEnding
        var endedAt: ContinuousClock.Instant
        var recordedAt = ContinuousClock.now

        var id: RunID { run.offer.run }
    }

    private struct State {
        var runs: [RunID: Run] = [:]
        /// Oldest record first.
        var ends: [End] = []
        /// How often a comparison was refused, and up to which time it was made up for.
        var refusals = 0
        var madeUpFor = 0
        /// How often there was a reason to ask, and up to which one it was answered.
        var questions = 0
        var answered = 0

        var isUncompared: Bool { refusals > madeUpFor }

        mutating func forgetOldEnds() {
            let firstKept = ends.firstIndex { isUncompared || $0.recordedAt.duration(to: .now) < HeldRuns.endsAreKept }
            ends.removeFirst(max(firstKept ?? ends.endIndex, ends.count - HeldRuns.mostEnds))
        }
    }

    /// Scripts take no more runs at once.
    private static let limit = 100
    /// How long a server may take to get what another one, or its file, had: by default both take a second or two.
    /// Counted while ends are recorded: a server that is away gets nothing either.
    private static let endsAreKept = Duration.seconds(60)
    /// Some 200 bytes each.
    private static let mostEnds = 1_000
    private let state = Mutex(State())

    /// The run was claimed. What was known of it stays known: its process, and whether it is paused.
    func claimed(_ offer: RunOffer, gracePeriod: Duration) {
        state.withLock { state in
            var run = state.runs[offer.run] ?? Run(offer: offer, gracePeriod: gracePeriod)
            (run.offer, run.gracePeriod) = (offer, gracePeriod)
            state.runs[offer.run] = run
        }
    }

    /// The run has a process.
    func spawned(_ run: RunID, _ process: ProcessIdentity) { state.withLock { $0.runs[run]?.process = process } }

    /// The run is paused now, or goes on.
    func paused(_ run: RunID, _ isPaused: Bool) { state.withLock { $0.runs[run]?.isPaused = isPaused } }

    /// The run has this end on record.
    func ended(_ run: RunID, as ending: RunEnding, at endedAt: ContinuousClock.Instant) {
        state.withLock { state in
            guard let run = state.runs.removeValue(forKey: run) else { return }
            state.ends.append(End(run: run, ending: ending, endedAt: endedAt))
            state.forgetOldEnds()
        }
    }

    /// The run is another's.
    func gone(_ run: RunID) { state.withLock { $0.runs[run] = nil } }

    /// What the next heartbeat asks: which runs the worker holds. There is a question after each connect, and when a heartbeat
    /// had no answer, for what that would have said nobody says again unasked. `nil` when all were answered.
    var question: Int? { state.withLock { $0.questions > $0.answered ? $0.questions : nil } }

    /// There is a reason to ask.
    func ask() { state.withLock { $0.questions += 1 } }

    /// A heartbeat that asked was answered. What was asked since is still open.
    func answered(_ question: Int) { state.withLock { $0.answered = max($0.answered, question) } }

    /// Whether the last comparison was refused, and is not made up for.
    var isUncompared: Bool { state.withLock { $0.isUncompared } }

    func comparisonWasRefused() { state.withLock { $0.refusals += 1 } }

    /// Whether the run has ended here, and the server may not know that yet.
    func isEndUncompared(of run: RunID) -> Bool {
        state.withLock { state in state.isUncompared && state.runs[run] == nil && state.ends.contains { $0.id == run } }
    }

    /// Claims the runs again that the server takes for queued, ends those again that have ended, and says again which stand
    /// still and which go on. Whether a job was tried again after that end is not known here, and that run may be alive: so
    /// it is not tried again.
    func compare(
        by client: InterruptClient,
        worker: Name,
        instance: String,
        _ logger: Logger
    ) async throws(RedisError) {
        let refusals = state.withLock(\.refusals)
        let (claimed, ends, pauses) = try await claimAgain(by: client, worker: worker, instance: instance)
        for run in claimed {
            logger.warning("Redis had forgotten that a run was started", metadata: ["run": "\(run)"])
        }
        for end in ends {
            let ago = end.endedAt.duration(to: .now)
            let outcome = RedisTransport.outcome(of: end.id, end.ending, by: instance, before: ago)
            _ = try await client.evaluate(RedisScripts.end, outcome)
            logger.warning("Redis had forgotten that a run has ended", metadata: ["run": "\(end.id)"])
        }
        for (run, wasPaused) in pauses {
            var said = wasPaused
            // It may change meanwhile, and what is said last must be what is so.
            while let isPaused = state.withLock({ $0.runs[run]?.isPaused }), isPaused != said {
                let pause: [RedisArgument] = [.init(run.rawValue), .init(instance), isPaused ? "1" : "0"]
                _ = try await client.evaluate(RedisScripts.paused, pause)
                said = isPaused
            }
        }
        // Another server, which has refused since, was not asked.
        state.withLock { $0.madeUpFor = max($0.madeUpFor, refusals) }
    }

    /// Returns the runs that the server took for queued, claimed now, the ends that it has not got, and which runs it takes
    /// for paused. No runs, no command.
    private func claimAgain(
        by client: InterruptClient,
        worker: Name,
        instance: String
    ) async throws(RedisError) -> (claimed: [RunID], ends: [End], pauses: [RunID: Bool]) {
        let (runs, ends) = state.withLock { state in
            // Claimed once more, a run is another one with the same id.
            return (Array(state.runs.values), state.ends.filter { state.runs[$0.id] == nil })
        }
        var left = runs + ends.map(\.run)
        var claimed: [RunID] = []
        var (own, paused): (Set<RunID>, Set<RunID>) = ([], [])
        while !left.isEmpty {
            let fields = left.prefix(Self.limit).flatMap { run -> [RedisArgument] in
                let process = run.process.map { [RedisArgument($0.pid), .init($0.start), .init($0.boot)] }
                return [
                    .init(run.offer.run.rawValue), .init(run.offer.queue.description), .init(run.offer.entry),
                    .init(run.gracePeriod.milliseconds),
                ] + (process ?? ["", "", ""])
            }
            left.removeFirst(min(Self.limit, left.count))
            let worker: [RedisArgument] = [.init(worker.description), .init(instance)]
            let lists = try await client.evaluate(RedisScripts.claimAgain, worker + fields).array ?? []
            guard lists.count == 3 else { continue }
            claimed += Self.runs(lists[0])
            own.formUnion(Self.runs(lists[1]))
            paused.formUnion(Self.runs(lists[2]))
        }
        let pauses = own.map { ($0, paused.contains($0)) }
        return (claimed, ends.filter { own.contains($0.id) }, Dictionary(uniqueKeysWithValues: pauses))
    }

    private static func runs(_ list: RESPValue) -> [RunID] {
        (list.array ?? []).compactMap(\.text).map { RunID(rawValue: $0) }
    }
}
