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
    }

    typealias Said = (index: Int, news: News)

    private(set) var followers: [Follower]
    private let limit: Duration?
    /// When the same is said again.
    var reassertion: Reassertion
    /// What is on record otherwise than asked, whatever the runs do.
    let troubles: [CommandFailure]
    /// Of whose workers' silence was told.
    private var silent: Set<Int> = []

    /// - Parameters:
    ///   - limit: how long to wait; `nil` is the longest that a run may take.
    ///   - random: a number from 0 up to 1.
    init(followers: [Follower], limit: Duration?, troubles: [CommandFailure] = [], random: Double = 0.5) {
        self.followers = followers
        self.limit = limit
        self.troubles = troubles
        reassertion = Reassertion(random: random)
    }

    mutating func begin(now: Timestamp) -> [Said] {
        followers.indices.flatMap { index in followers[index].begin(now: now).map { (index, .step($0)) } }
    }

    /// The runs that something is still waited for.
    var openRuns: [RunID] { followers.filter { !$0.isEnded }.compactMap(\.run) }

    /// The workers from which a receipt is missing.
    var workersOfOpenRuns: [String] {
        Set(followers.filter(\.needsReceipt).compactMap { $0.record?.worker }).sorted()
    }

    func concerns(_ run: String) -> Bool { openRuns.contains(RunID(rawValue: run)) }

    func isOver(after waited: Duration) -> Bool {
        guard let longest = followers.filter({ !$0.isEnded }).map(\.waitLimit).max() else { return true }
        return waited >= limit ?? longest
    }

    mutating func observe(_ records: [RunRecord], elapsed: Duration) -> [Said] {
        records.flatMap { record in
            followers.indices.filter { followers[$0].run == record.run }.flatMap { index in
                followers[index].observe(record, elapsed: elapsed).map { (index, .step($0)) }
            }
        }
    }

    mutating func observe(_ worker: WorkerRecord, now: Timestamp) -> [Said] {
        let silence = now - worker.seenAt
        guard worker.lease > .zero, silence > worker.lease else { return [] }
        return followers.indices.compactMap { index in
            guard followers[index].needsReceipt, followers[index].record?.worker == worker.name,
                silent.insert(index).inserted
            else { return nil }
            return (index, .silent(worker: worker.name, for: silence))
        }
    }

    /// The runs without a receipt, when it is time to ask them again.
    func dueAgain(at elapsed: Duration) -> [RunID] {
        reassertion.isDue(at: elapsed) ? followers.filter(\.needsReceipt).compactMap(\.run) : []
    }

    /// Takes in what a repetition was answered.
    mutating func observe(repetitions: [Follower]) -> [Said] {
        repetitions.flatMap { repetition in
            followers.indices.filter { followers[$0].run == repetition.run && followers[$0].needsReceipt }.flatMap {
                index in followers[index].observe(repetition: repetition).map { (index, .step($0)) }
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
            }
        return followers.count == 1 ? lines : lines.map { "\(screen.shown(follower.job)): \($0)" }
    }
}
