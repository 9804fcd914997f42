import InterruptCore
import Testing

@testable import InterruptRedis
@testable import interruptctl

@Suite struct `A request that replicas are to have` {
    private let signal = InterruptSignal(id: RequestID(rawValue: "q1"))

    private func follower(
        _ outcome: InterruptReceipt.Outcome = .accepted,
        state: RunState = .running,
        stored: Int,
        of wanted: Int = 1
    ) -> StopFollower {
        StopFollower(
            makeReceipt(outcome, state: state),
            signal: signal,
            replication: Replication(stored: stored, wanted: wanted)
        )
    }

    private func failure(_ follower: StopFollower, isWaiting: Bool) -> CommandFailure? {
        follower.failure(expected: nil, isWaiting: isWaiting, now: .now, waited: .seconds(1))
    }

    @Test func `is recorded, but not as asked, when too few have it`() {
        var follower = follower(stored: 0)
        #expect(follower.begin(now: .now) == [.recorded, .replicated(Replication(stored: 0, wanted: 1))])
        #expect(follower.status(isWaiting: false) == .unconfirmed)
        let failure = failure(follower, isWaiting: false)
        #expect(failure?.description == "the interrupt of job 'nightly' is recorded, but stored on 0 of 1 replicas")
        #expect(failure?.hint?.contains("nothing was undone") == true)
        #expect(follower.json(error: nil).line.contains(#""replicas":0"#))
    }

    @Test func `is done all the same once the worker has confirmed the stop`() {
        var follower = follower(stored: 0)
        _ = follower.begin(now: .now)
        _ = follower.observe(makeRecord(state: .interrupted), elapsed: .zero)
        #expect(follower.status(isWaiting: true) == .done && failure(follower, isWaiting: true) == nil)
    }

    @Test func `is not done when all there is of the stop is on the primary`() {
        var follower = follower(.stopped, state: .interrupted, stored: 1, of: 2)
        _ = follower.begin(now: .now)
        #expect(follower.status(isWaiting: true) == .unconfirmed)
        let text = failure(follower, isWaiting: true)?.description
        #expect(text == "the end of queued job 'nightly' is recorded, but stored on 1 of 2 replicas")
    }

    @Test func `is what was asked for when enough have it, and when nobody asked for replicas`() {
        var enough = follower(stored: 2)
        #expect(enough.begin(now: .now).last == .replicated(Replication(stored: 2, wanted: 1)))
        #expect(enough.status(isWaiting: false) == .done)
        #expect(enough.lines(enough.begin(now: .now).last!, on: Screen()) == ["stored on 2 of 2 replicas"])
        let plain = StopFollower(makeReceipt(.accepted), signal: signal)
        #expect(plain.status(isWaiting: false) == .done)
        #expect(plain.json(error: nil).line.contains(#""replicas":null"#))
    }

    @Test(arguments: [
        "", "disk", "replicas", "replicas:", "replicas:0", "replicas:x", "replicas:-1", "replicas:+1", "replicas:65",
        "replicas:1:2", "replicas:٣", "Replicas:1", "replicas:99999999999999999999",
    ])
    func `is asked for by a number from 1 to 64`(text: String) throws {
        #expect(throws: (any Error).self) { try Durability(text) }
        #expect(try Durability("replicas:64").replicas == 64)
    }
}

@Suite struct `An interrupt that was sent twice because the first answer was lost` {
    private let signal = InterruptSignal(id: RequestID(rawValue: "q1"))

    @Test func `has done what the run's record says, when the run has ended since`() {
        for (state, status) in [(RunState.interrupted, CommandStatus.done), (.completed, .alreadyEnded)] {
            let receipt = makeReceipt(.known, state: state, inForce: signal)
            var follower = StopFollower(receipt, signal: signal, isRepetition: true)
            #expect(follower.begin(now: .now) == [.recorded] && follower.status(isWaiting: false) == .done)
            _ = follower.observe(makeRecord(state: state), elapsed: .zero)
            #expect(follower.status(isWaiting: true) == status)
            var other = StopFollower(receipt, signal: signal)
            #expect(other.begin(now: .now).isEmpty && other.status(isWaiting: true) == .alreadyEnded)
        }
    }

    @Test func `is not on record when the run's record is gone, unless that is there again`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        _ = follower.begin(now: .now)
        let missing = StopFollower(makeReceipt(.missing), signal: signal, isRepetition: true)
        #expect(follower.observe(repetition: missing, now: .now).isEmpty && follower.status(isWaiting: true) == .failed)
        let failure = follower.failure(expected: nil, isWaiting: true, now: .now, waited: .seconds(9))
        #expect(failure?.description.contains("the record of job 'nightly' is gone from Redis") == true)
        _ = follower.observe(makeRecord(), elapsed: .zero)
        #expect(follower.status(isWaiting: true) == .unconfirmed)
    }
}
