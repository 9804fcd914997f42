import InterruptCore
import InterruptRedis

/// Follows what was asked of one run, from its record to the worker's word. Decides what to say and how it ended; never
/// waits or asks.
protocol RequestFollower: Sendable {
    /// What is worth saying, in the order it happens.
    associatedtype Step: Sendable

    /// The job, as it was named when there is no run.
    var job: String { get }
    var run: RunID? { get }
    var phase: RequestPhase { get }
    /// The newest look at the run's record.
    var record: RunRecord? { get }
    /// Whether it is known that the request is not on record any more.
    var isLost: Bool { get }
    /// Whether a last look at the record tells more of what is over. That it is over is known without.
    var isWorthALastLook: Bool { get }
    /// How long to wait for the worker's word, where nobody says.
    var waitLimit: Duration { get }

    /// What the receipt alone says.
    mutating func begin(now: Timestamp) -> [Step]
    /// What a look at the run's record says. A repeated look says nothing twice.
    ///
    /// - Parameter elapsed: the time since the request was sent, by our own clock.
    mutating func observe(_ record: RunRecord, elapsed: Duration) -> [Step]
    /// Whether the answer to a repetition is for this one.
    func isMeant(by repetition: Self) -> Bool
    /// What the answer to a repetition says; nothing when it is on record as it was.
    mutating func observe(repetition: Self, now: Timestamp) -> [Step]

    /// The exit status if nothing more is waited for.
    func status(isWaiting: Bool) -> CommandStatus
    /// The lines of a step.
    func lines(_ step: Step, on screen: Screen) -> [String]
    /// The run as one line of JSON.
    func json(error: String?) -> JSONValue
    /// How it failed, for stderr and for JSON; `nil` when it did not.
    ///
    /// - Parameters:
    ///   - expected: the run that the job had to have.
    ///   - isWaiting: whether the worker's word was wanted.
    ///   - waited: how long it was waited for.
    func failure(expected: RunID?, isWaiting: Bool, now: Timestamp, waited: Duration) -> CommandFailure?
}

/// How far a request is.
enum RequestPhase: Equatable {
    /// On record. Then `acknowledged` or `ended`.
    case open
    /// The worker knows. Then `ended`.
    case acknowledged
    /// Nothing more comes.
    case ended(CommandStatus)
}

extension RequestFollower {
    /// Whether the run's worker has not said yet that it knows.
    var needsReceipt: Bool { phase == .open }

    /// Whether nothing more will come.
    var isEnded: Bool {
        if case .ended = phase { true } else { false }
    }
}
