import InterruptCore
import Synchronization

/// The runs that an instance of a worker has claimed and has put no end on record for: what it compares with the server's
/// records after every connect. A server that has taken the place of another one may know less.
final class HeldRuns: Sendable {
    private struct Run {
        var offer: RunOffer
        var gracePeriod: Duration
        var process: ProcessIdentity?
    }

    private struct State {
        var runs: [RunID: Run] = [:]
        /// How often there was a reason to ask, and up to which one it was answered.
        var questions = 0
        var answered = 0
    }

    /// Scripts take no more runs at once.
    private static let limit = 100
    private let state = Mutex(State())

    /// The run was claimed. What the process is, if there is one yet, stays known.
    func claimed(_ offer: RunOffer, gracePeriod: Duration) {
        state.withLock { state in
            let process = state.runs[offer.run]?.process
            state.runs[offer.run] = Run(offer: offer, gracePeriod: gracePeriod, process: process)
        }
    }

    /// The run has a process.
    func spawned(_ run: RunID, _ process: ProcessIdentity) { state.withLock { $0.runs[run]?.process = process } }

    /// The run has an end on record, or is another's.
    func ended(_ run: RunID) { state.withLock { $0.runs[run] = nil } }

    /// What the next heartbeat asks: which runs the worker holds. There is a question after each connect, and when a heartbeat
    /// had no answer, for what that would have said nobody says again unasked. `nil` when all were answered.
    var question: Int? { state.withLock { $0.questions > $0.answered ? $0.questions : nil } }

    /// There is a reason to ask.
    func ask() { state.withLock { $0.questions += 1 } }

    /// A heartbeat that asked was answered. What was asked since is still open.
    func answered(_ question: Int) { state.withLock { $0.answered = max($0.answered, question) } }

    /// Claims the runs again that the server takes for queued; returns them. No runs, no command.
    func claimAgain(
        by client: InterruptClient,
        worker: Name,
        instance: String
    ) async throws(RedisError) -> [RunID] {
        var left = Array(state.withLock { $0.runs.values })
        var claimed: [RunID] = []
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
            let reply = try await client.evaluate(RedisScripts.claimAgain, worker + fields)
            claimed += (reply.array ?? []).compactMap(\.text).map { RunID(rawValue: $0) }
        }
        return claimed
    }
}
