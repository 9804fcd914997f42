import InterruptCore
import InterruptRedis

/// Interrupts what its targets stand for, and waits for the proof.
struct StopCommand: RequestCommand {
    let signal: InterruptSignal
    let options: RequestOptions
    let confirmation: Confirmation?
    let display: DisplayOptions

    init(stage: InterruptStage, options: StopOptions, display: DisplayOptions) {
        signal = options.signal(stage: stage)
        self.options = options.request
        // A drain closes the gates of its targets.
        confirmation = .interrupt(options.confirmation, closesGates: stage == .drain)
        self.display = display
    }

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

    func send(
        to part: TargetPlan.Part,
        only: Set<RunID>?,
        in session: Session
    ) async throws(CommandFailure) -> [StopFollower] {
        try await session.resolving { client, isRepetition throws(RedisError) in
            let receipts =
                switch part {
                case .one(let reference, let expected):
                    try await client.interrupt([reference], signal, expected: expected)
                case .wide(let target):
                    try await client.interrupt(target, signal.aimed(at: target), only: only)
                }
            return receipts.map { StopFollower($0, signal: signal, isRepetition: isRepetition) }
        }
    }

    /// With the same request id: recorded once, told twice.
    func sendAgain(to runs: [RunID], in session: Session) async {
        _ = try? await session.client.interrupt(runs.map(RunReference.run), signal)  // the next second asks again
    }
}

extension InterruptSignal {
    fileprivate func aimed(at target: InterruptTarget) -> InterruptSignal {
        var signal = self
        signal.target = target
        return signal
    }
}
