import InterruptCore
import InterruptRedis

/// Follows what was asked of several runs at once. Decides what to say, whom to ask again and when to stop waiting.
struct RequestWait<Follower: RequestFollower> {
    /// How often the records are read again, whatever was heard.
    static var tick: Duration { .milliseconds(250) }
    /// How many ticks somebody waits to listen before the request is sent without.
    static var ticksToListen: Int { 4 }

    /// What is worth saying of a run.
    enum News {
        case step(Follower.Step)
        /// Nothing was heard of the run's worker for longer than it may be silent; said once.
        case silent(worker: String, for: Duration)
        /// The run's worker honours only what is signed, and this is not; said once.
        case unheeded(worker: String)
    }

    typealias Said = (index: Int, news: News)

    private(set) var followers: [Follower]
    private let limit: Duration?
    /// When the same is said again.
    var reassertion: Reassertion
    /// What is on record otherwise than asked, whatever the runs do.
    let troubles: [CommandFailure]
    private let isHeeded: Bool
    /// Whose workers honour nothing that is not signed.
    private var unheeded: Set<Int> = []
    /// Of whose workers' silence was told.
    private var silent: Set<Int> = []

    /// - Parameters:
    ///   - limit: how long to wait; `nil` is the longest that a run may take.
    ///   - isHeeded: whether those honour it, too, who honour only what is signed.
    ///   - random: a number from 0 up to 1.
    init(
        followers: [Follower],
        limit: Duration?,
        troubles: [CommandFailure] = [],
        isHeeded: Bool = false,
        random: Double = 0.5
    ) {
        self.followers = followers
        self.limit = limit
        self.troubles = troubles
        self.isHeeded = isHeeded
        reassertion = Reassertion(random: random)
    }

    mutating func begin(now: Timestamp) -> [Said] {
        followers.indices.flatMap { index in followers[index].begin(now: now).map { (index, .step($0)) } }
    }

    /// The runs that something is still waited for.
    var openRuns: [RunID] { followers.filter { !$0.isEnded }.compactMap(\.run) }

    /// The workers from which a receipt is missing.
    var workersOfOpenRuns: [String] {
        Set(followers.filter { $0.needsReceipt && !$0.isLost }.compactMap { $0.record?.worker }).sorted()
    }

    func concerns(_ run: String) -> Bool { openRuns.contains(RunID(rawValue: run)) }

    func isOver(after waited: Duration) -> Bool {
        guard let longest = followers.filter({ !$0.isEnded }).map(\.waitLimit).max() else { return true }
        return waited >= limit ?? longest
    }

    mutating func observe(_ records: [RunRecord], elapsed: Duration) -> [Said] {
        let lost = followers.count(where: \.isLost)
        defer { if followers.count(where: \.isLost) > lost { reassertion.connectionWasLost() } }
        return records.flatMap { record in
            followers.indices.filter { followers[$0].run == record.run }.flatMap { index in
                followers[index].observe(record, elapsed: elapsed).map { (index, .step($0)) }
            }
        }
    }

    mutating func observe(_ worker: WorkerRecord, now: Timestamp) -> [Said] {
        let concerned = followers.indices.filter {
            followers[$0].needsReceipt && !followers[$0].isLost && followers[$0].record?.worker == worker.name
        }
        let silence = now - worker.seenAt
        if worker.lease > .zero, silence > worker.lease {
            return concerned.filter { silent.insert($0).inserted }.map {
                ($0, .silent(worker: worker.name, for: silence))
            }
        }
        guard worker.heedsSignedOnly, !isHeeded else { return [] }
        return concerned.filter { unheeded.insert($0).inserted }.map { ($0, .unheeded(worker: worker.name)) }
    }

    /// What helps where the worker will never acknowledge what this follower waits for; `nil` where it may.
    func remedy(for index: Int) -> String? {
        unheeded.contains(index) ? "its worker honours only what is signed: ask again with --sign-key FILE" : nil
    }

    /// The runs without a receipt, when it is time to ask them again.
    func dueAgain(at elapsed: Duration) -> [RunID] {
        reassertion.isDue(at: elapsed) ? followers.filter(\.needsReceipt).compactMap(\.run) : []
    }

    /// Takes in what a repetition was answered.
    mutating func observe(repetitions: [Follower], now: Timestamp) -> [Said] {
        repetitions.flatMap { repetition in
            followers.indices.filter { followers[$0].isMeant(by: repetition) }.flatMap { index in
                followers[index].observe(repetition: repetition, now: now).map { (index, .step($0)) }
            }
        }
    }

    /// The lines for people; of several runs each line names its job.
    func lines(_ said: Said, on screen: Screen) -> [String] {
        let follower = followers[said.index]
        let lines =
            switch said.news {
            case .step(let step): follower.lines(step, on: screen)
            case .silent(let worker, let silence):
                [
                    "worker '\(screen.shown(worker))' is silent for \(silence.displayText): "
                        + "the request stays on record and is applied when it is back"
                ]
            case .unheeded(let worker):
                ["worker '\(screen.shown(worker))' honours only what is signed, and this request is not"]
            }
        return followers.count == 1 ? lines : lines.map { "\(screen.shown(follower.job)): \($0)" }
    }
}
