import InterruptCore
import Testing

@testable import InterruptRedis
@testable import interruptctl

@Suite struct `Following a pause` {
    private func receipt(_ outcome: PauseOutcome, state: RunState = .running) throws -> PauseReceipt {
        let reply = RESPValue.array([outcome.rawValue, "r1", "j", state.rawValue].map { .bulk(Array($0.utf8)) })
        return try #require(PauseReceipt(reply: reply))
    }

    private func follower(
        _ outcome: PauseOutcome,
        _ action: PauseRequest.Action = .pause,
        state: RunState = .running
    ) throws -> PauseFollower {
        PauseFollower(try receipt(outcome, state: state), action: action)
    }

    private func failure(of follower: PauseFollower, isWaiting: Bool = true) -> CommandFailure? {
        follower.failure(expected: nil, isWaiting: isWaiting, now: .now, waited: .seconds(5))
    }

    @Test func `is over when the run's state is as asked, and not before`() throws {
        for (action, other, wanted) in [
            (PauseRequest.Action.pause, RunState.running, RunState.paused), (.resume, .paused, .running),
        ] {
            var follower = try follower(.recorded, action)
            #expect(follower.begin(now: .now) == [.recorded])
            #expect(follower.observe(makeRecord(state: other), elapsed: .milliseconds(1)) == [])
            #expect(follower.status(isWaiting: true) == .unconfirmed && follower.status(isWaiting: false) == .done)
            let steps = follower.observe(makeRecord(state: wanted), elapsed: .milliseconds(2))
            #expect(steps == [.confirmed(after: .milliseconds(2))])
            #expect(follower.observe(makeRecord(state: wanted), elapsed: .milliseconds(3)) == [])
            #expect(follower.status(isWaiting: true) == .done)
            #expect(follower.json(error: nil).line.contains(#""confirmed_ms":2"#))
        }
    }

    @Test func `asked before, it waits for what is not confirmed yet`() throws {
        var done = try follower(.already, state: .paused)
        #expect(done.begin(now: .now) == [.already] && done.status(isWaiting: true) == .done)
        var open = try follower(.already, state: .running)
        #expect(open.begin(now: .now) == [.already] && open.status(isWaiting: true) == .unconfirmed)
        #expect(open.json(error: nil).line.contains(#""already_requested":true"#))
    }

    @Test(arguments: [
        (PauseOutcome.queued, CommandStatus.failed, "is queued, and only what runs can be paused"),
        (.handler, .failed, "is a function of its worker's own process"),
        (.cancelling, .failed, "is being interrupted"), (.ended, .alreadyEnded, "has already ended"),
        (.missing, .noSuchJob, "no such job 'j'"), (.replaced, .alreadyEnded, "is not its newest"),
    ])
    func `is refused in one line with a hint`(outcome: PauseOutcome, status: CommandStatus, text: String) throws {
        for isWaiting in [true, false] {
            var follower = try follower(outcome)
            #expect(follower.begin(now: .now) == [])
            #expect(follower.status(isWaiting: isWaiting) == status)
            let failure = try #require(self.failure(of: follower, isWaiting: isWaiting))
            #expect(failure.description.contains(text) && failure.hint != nil)
            #expect(!failure.description.contains("\n"))
        }
    }

    @Test func `ends with the run, and with its interrupt`() throws {
        for (state, status) in [(RunState.completed, CommandStatus.alreadyEnded), (.cancelling, .failed)] {
            var follower = try follower(.recorded)
            _ = follower.begin(now: .now)
            #expect(follower.observe(makeRecord(state: state), elapsed: .zero) == [])
            #expect(follower.status(isWaiting: true) == status)
            #expect(failure(of: follower) != nil)
        }
    }
}
