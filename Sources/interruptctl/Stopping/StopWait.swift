import InterruptCore
import InterruptRedis

/// Follows several interrupted runs at once. Decides what to say, what to ask again and when to stop waiting.
struct StopWait {
    /// How often the records are read again, whatever was heard.
    static let tick = Duration.milliseconds(250)
    /// How many ticks lie between two assertions of the same request.
    private static let ticksBetweenAssertions = 4

    /// A step of one of the runs.
    struct Said: Equatable {
        let index: Int
        let step: StopFollower.Step
    }

    private(set) var followers: [StopFollower]
    private let limit: Duration?
    private var ticks = 0

    /// - Parameter limit: how long to wait; `nil` is the longest grace period and five seconds.
    init(followers: [StopFollower], limit: Duration?) {
        self.followers = followers
        self.limit = limit
    }

    mutating func begin(now: Timestamp) -> [Said] {
        followers.indices.flatMap { index in
            followers[index].begin(now: now).map { Said(index: index, step: $0) }
        }
    }

    /// The runs that something is still waited for.
    var openRuns: [RunID] { followers.filter { !$0.isEnded }.compactMap(\.run) }

    var needsReceipt: Bool { followers.contains { $0.needsReceipt } }

    /// The workers from which a receipt is missing.
    var workersOfOpenRuns: [String] {
        Set(followers.filter(\.needsReceipt).compactMap { $0.record?.worker }).sorted()
    }

    func concerns(_ run: String) -> Bool { openRuns.contains(RunID(rawValue: run)) }

    func isOver(after waited: Duration) -> Bool {
        let open = followers.filter { !$0.isEnded }
        guard let longest = open.map({ $0.waitLimit(record: $0.record) }).max() else { return true }
        return waited >= limit ?? longest
    }

    mutating func observe(_ records: [RunRecord], elapsed: Duration) -> [Said] {
        records.flatMap { record in
            followers.indices.filter { followers[$0].run == record.run }.flatMap { index in
                followers[index].observe(record, elapsed: elapsed).map { Said(index: index, step: $0) }
            }
        }
    }

    mutating func observe(_ worker: WorkerRecord, now: Timestamp) -> [Said] {
        followers.indices.filter { followers[$0].record?.worker == worker.name }.flatMap { index in
            followers[index].observe(worker, now: now).map { Said(index: index, step: $0) }
        }
    }

    /// Counts a tick; every second the runs without a receipt, with the request to assert again.
    mutating func dueAgain() -> ([RunID], InterruptSignal)? {
        ticks += 1
        guard ticks % Self.ticksBetweenAssertions == 0 else { return nil }
        let waiting = followers.filter(\.needsReceipt)
        guard let signal = waiting.first?.signal else { return nil }
        return (waiting.compactMap(\.run), signal)
    }
}
