import InterruptCore
import InterruptRedis

/// Pauses what its targets stand for, or lets it go on, and waits for the workers' word.
struct PauseCommand: RequestCommand {
    let request: PauseRequest
    let options: RequestOptions
    let confirmation: Confirmation?
    let display: DisplayOptions

    init(
        _ action: PauseRequest.Action,
        options: RequestOptions,
        confirmation: Confirmation? = nil,
        display: DisplayOptions
    ) {
        request = PauseRequest(action, triggeredBy: Requester.ofProcess)
        self.options = options
        self.confirmation = confirmation
        self.display = display
    }

    var announcement: String? { nil }

    /// What lets a run go on counts from anybody.
    var needsSignature: Bool { request.action == .pause }

    /// What became of a target's gate is said in any case.
    var emptyText: String? { nil }

    func prepare(in session: Session) async throws(CommandFailure) {}

    func send(
        to part: TargetPlan.Part,
        only: Set<RunID>?,
        in session: Session
    ) async throws(CommandFailure) -> RequestAnswer<PauseFollower> {
        let receipts: [PauseReceipt]
        switch part {
        case .one(let reference, let expected):
            receipts = try await session.resolving { client, _ throws(RedisError) in
                try await client.ask(request, of: [reference], expected: expected)
            }
        case .wide(let target):
            let answer = try await session.resolving(isOneScript: false) { client, _ throws(RedisError) in
                try await client.ask(request, of: target, only: only)
            }
            show(target, answer)
            receipts = answer.members
        }
        return RequestAnswer(followers: receipts.map { PauseFollower($0, action: request.action) })
    }

    private func show(_ target: InterruptTarget, _ answer: GroupPause) {
        if display.isJSON {
            let changed = request.action == .pause ? "paused" : "resumed"
            let line: [String: JSONValue] = [
                "target": .string(target.description), changed: .bool(answer.hasGateChanged),
            ]
            StandardStreams.out(JSONValue.object(line).line)
        } else {
            StandardStreams.out(PauseTexts.gate(target, request.action, hasChanged: answer.hasGateChanged))
        }
    }

    /// Nothing: somebody may have asked for the opposite meanwhile, and that stays.
    func sendAgain(to runs: [RunID], in session: Session) async throws(RedisError) -> [PauseFollower] { [] }

    /// Nothing, for the same reason.
    func closeAgain(_ plan: TargetPlan, ago: Duration, in session: Session) async throws(RedisError) {}
}
