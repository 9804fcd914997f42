import InterruptCore
import InterruptRedis
import Synchronization

/// Asks as `interruptctl` does, as often as wanted: what is unknown is resolved by asking again with the same request id.
final class Requester: Sendable {
    private struct State {
        var asked: [Invariants.Asked] = []
        var unknown = 0
        var refusals: [String] = []
    }

    let client: InterruptClient
    private let state = Mutex(State())

    init(client: InterruptClient) { self.client = client }

    /// Everything that was asked, with its answer.
    var asked: [Invariants.Asked] { state.withLock { $0.asked } }
    /// How often it was unknown for a while whether a request was recorded.
    var unknownCount: Int { state.withLock { $0.unknown } }
    /// What refused requests were told.
    var refusals: [String] { state.withLock { $0.refusals } }

    /// Interrupts a run and returns when it is known what became of the request, or after `limit`.
    @discardableResult
    func interrupt(
        _ run: RunID,
        _ stage: InterruptStage = .terminate,
        within limit: Duration = .seconds(30)
    ) async -> Invariants.Answer {
        let signal = InterruptSignal(stage: stage, triggeredBy: "fault test")
        let deadline = ContinuousClock.now + limit
        var answer: Invariants.Answer?
        var mayBeOnRecord = false
        while answer == nil {
            switch await ask(run, signal) {
            case .unknown?: mayBeOnRecord = true
            case .refused? where mayBeOnRecord: break  // this attempt was; not the one before it
            case let known: answer = known
            }
            if answer != nil { break }
            if ContinuousClock.now >= deadline || Task.isCancelled { answer = .unknown }
            try? await Task.sleep(for: .milliseconds(20))  // cancelled: asked once more, and then unknown
        }
        let asked = Invariants.Asked(request: signal.id, run: run, stage: stage, answer: answer ?? .unknown)
        state.withLock { $0.asked.append(asked) }
        return asked.answer
    }

    /// The answer to one attempt; `nil` when nothing was recorded and it is to be asked again.
    private func ask(_ run: RunID, _ signal: InterruptSignal) async -> Invariants.Answer? {
        do throws(RedisError) {
            switch try await client.interrupt([.run(run)], signal).first?.outcome {
            case .accepted, .escalated, .already, .known, .stopped: return .recorded
            case .ended, .missing, .replaced, nil: return .tooLate
            }
        } catch {
            if error.isOutcomeUnknown {
                state.withLock { $0.unknown += 1 }
                return .unknown
            }
            let isPassing = ["LOADING", "BUSY", "NOREPLICAS"].contains(error.replyPrefix)
            if error.code == .cannotConnect || error.code == .connectionLost || error.code == .closed || isPassing {
                return nil
            }
            state.withLock { $0.refusals.append(error.message) }
            return .refused
        }
    }
}

/// Runs `body` with a requester whose connection comes back by itself.
func withRequester<R>(
    _ endpoint: RedisEndpoint,
    configuration: RedisConnectionConfiguration = .init(),
    _ body: (Requester) async throws -> R
) async throws -> R {
    let commands = RedisClient(endpoint: endpoint, name: "requester", configuration: configuration)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await commands.run() }
        defer { group.cancelAll() }
        return try await body(Requester(client: InterruptClient(commands: commands, keys: try RedisKeys())))
    }
}
