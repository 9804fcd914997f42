import InterruptTesting

/// What goes wrong for a while.
enum ChaosFault: String, CaseIterable, Sendable {
    case nothing, subscriptionsKilled, subscriptionsKicked, connectionsKilled, redisKilled, redisStopped, redisPaused
    case redisFull, redisIsReplica, scriptsFlushed, workerStopped, workerKilled, halfOpen, deaf, mute, slow, trickling
    case doubled, cut, reset, refused
}

/// What is done in one step: a fault, and interrupts throughout.
struct ChaosStep: Equatable, Sendable {
    struct Run: Equatable, Sendable {
        var kind: JobKind
        /// When it is asked to end, after the step's begin.
        var askedAt: Duration
        /// Whether it is asked a second time, harder.
        var isKilled: Bool
    }

    var fault: ChaosFault
    /// When the fault begins and for how long it lasts.
    var begin: Duration
    var length: Duration
    var runs: [Run]
}

/// The steps of a run of chaos: the same for the same seed, whatever happens. Never waits or acts.
struct ChaosPlan: Sequence, IteratorProtocol, Sendable {
    private var random: SeededRandom
    /// How many times as many runs a step has.
    private let scale: Int
    /// What can go wrong. Each of it comes once before any comes again.
    let faults: [ChaosFault]
    private var left: [ChaosFault] = []

    init(seed: UInt64, scale: Int = 1, sparing spared: Set<ChaosFault> = []) {
        random = SeededRandom(seed: seed)
        self.scale = scale
        faults = ChaosFault.allCases.filter { !spared.contains($0) }
    }

    mutating func next() -> ChaosStep? {
        if left.isEmpty { left = faults.shuffled(using: &random) }
        let fault = left.removeLast()
        let runs = (0..<Int.random(in: 2 * scale...8 * scale, using: &random)).map { _ in
            ChaosStep.Run(
                kind: JobKind.allCases.randomElement(using: &random) ?? .stub,
                askedAt: .milliseconds(Int.random(in: 0...1_000, using: &random)),
                isKilled: Int.random(in: 0..<5, using: &random) == 0
            )
        }
        return ChaosStep(
            fault: fault,
            begin: .milliseconds(Int.random(in: 0...400, using: &random)),
            length: .milliseconds(Int.random(in: 100...1_500, using: &random)),
            runs: runs
        )
    }
}
