import InterruptCore
import InterruptRedis

/// Interrupts what its targets stand for, and waits for the proof.
struct StopCommand: RequestCommand {
    let signal: InterruptSignal
    let options: RequestOptions
    let confirmation: Confirmation?
    let display: DisplayOptions
    private let durability: Durability?

    init(stage: InterruptStage, options: StopOptions, display: DisplayOptions) {
        signal = options.signal(stage: stage)
        self.options = options.request
        // A drain closes the gates of its targets.
        confirmation = .interrupt(options.confirmation, closesGates: stage == .drain)
        self.display = display
        durability = options.durability
    }

    var needsSignature: Bool { true }

    var announcement: String? {
        switch signal.stage {
        case .drain: nil
        case .terminate: OutcomeText.interrupting(on: display.screen)
        case .kill: "\(display.screen.sign(.interrupt)) Emergency stop - terminating execution..."
        }
    }

    var emptyText: String? {
        signal.stage == .drain
            ? "nothing to interrupt; nothing new starts until 'interruptctl resume'" : "nothing to interrupt"
    }

    func prepare(in session: Session) async throws(CommandFailure) { try await session.prepare(durability) }

    func send(
        to part: TargetPlan.Part,
        only: Set<RunID>?,
        in session: Session
    ) async throws(CommandFailure) -> RequestAnswer<StopFollower> {
        // Whom an attempt with an unknown outcome has asked, the next one asks too.
        var members: [RunID] = []
        var isRepeated = false
        let (receipts, replication) = try await session.resolving(durability, isOneScript: !part.isWide) {
            client,
            isRepetition throws(RedisError) in
            isRepeated = isRepetition
            switch part {
            case .one(let reference, let expected):
                return try await client.interrupt([reference], signal, expected: expected)
            case .wide(let target):
                return try await client.interrupt(target, signal.aimed(at: target), only: only, members: &members)
            }
        }
        let followers = receipts.map {
            StopFollower(
                $0,
                signal: signal,
                isRepetition: isRepeated,
                replication: replication,
                followsRetries: !part.isOneRun
            )
        }
        return RequestAnswer(followers: followers, trouble: shortage(of: part, replication))
    }

    /// A gate that a fail-over may open is not closed for good. A run that has stopped will not go on.
    private func shortage(of part: TargetPlan.Part, _ replication: Replication?) -> CommandFailure? {
        guard case .wide(let target) = part, signal.stage == .drain, let replication, replication.isShort else {
            return nil
        }
        return replication.shortage(of: "nothing new starts under '\(target)'")
    }

    func sendAgain(to runs: [RunID], in session: Session) async throws(RedisError) -> [StopFollower] {
        try await session.client.interrupt(runs.map(RunReference.run), signal).map { receipt in
            StopFollower(receipt, signal: signal, isRepetition: true)
        }
    }

    func closeAgain(_ plan: TargetPlan, ago: Duration, in session: Session) async throws(RedisError) {
        for case .wide(let target) in plan.parts where plan.only == nil || signal.stage == .drain {
            try await session.client.closeGateAgain(target, signal.aimed(at: target), ago: ago)
        }
    }
}

extension InterruptSignal {
    fileprivate func aimed(at target: InterruptTarget) -> InterruptSignal {
        var signal = self
        signal.target = target
        return signal
    }
}
