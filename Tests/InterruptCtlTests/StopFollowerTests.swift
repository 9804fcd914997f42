import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Following one interrupted run` {
    let signal = InterruptSignal(id: RequestID(rawValue: "q1"), triggeredBy: "ann@box")
    let acknowledged = [
        "stage": "2", "reason": "user_cancelled", "requested_at_ms": "5000", "acknowledged_at_ms": "5003",
        "via": "push",
    ]

    @Test func `a receipt alone proves nothing but the record`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        #expect(follower.begin(now: Timestamp(milliseconds: 0)) == [.recorded])
        #expect(follower.status(isWaiting: true) == .unconfirmed)
        #expect(follower.status(isWaiting: false) == .done)
    }

    @Test func `each step is said once, in order, and the end is done`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        _ = follower.begin(now: Timestamp(milliseconds: 0))
        let cancelling = makeRecord(acknowledged, state: .cancelling)
        #expect(follower.observe(cancelling, elapsed: .zero) == [.acknowledged(way: .push, after: .milliseconds(3))])
        #expect(follower.observe(cancelling, elapsed: .zero) == [])
        let gone = makeRecord(acknowledged.merging(["confirmed_at_ms": "5401"]) { $1 }, state: .interrupted)
        #expect(follower.observe(gone, elapsed: .zero) == [.confirmed(gone)])
        #expect(follower.observe(gone, elapsed: .zero) == [])
        #expect(follower.status(isWaiting: true) == .done)
        #expect(follower.confirmedAfter == .milliseconds(401))
    }

    @Test func `an end that is seen at once says that it was acknowledged too`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        let gone = makeRecord(acknowledged.merging(["confirmed_at_ms": "5401"]) { $1 }, state: .interrupted)
        #expect(
            follower.observe(gone, elapsed: .zero)
                == [.acknowledged(way: .push, after: .milliseconds(3)), .confirmed(gone)]
        )
    }

    @Test func `a harder stage is not acknowledged by the receipt for a softer one`() {
        var kill = signal
        kill.stage = .kill
        var follower = StopFollower(makeReceipt(.escalated), signal: kill)
        #expect(follower.begin(now: Timestamp(milliseconds: 0)) == [.escalated])
        #expect(follower.observe(makeRecord(acknowledged, state: .cancelling), elapsed: .seconds(1)) == [])
        #expect(follower.needsReceipt)
        let harder = makeRecord(acknowledged.merging(["stage": "3"]) { $1 }, state: .cancelling)
        #expect(
            follower.observe(harder, elapsed: .milliseconds(7)) == [.acknowledged(way: .push, after: .milliseconds(7))]
        )
    }

    @Test(arguments: [InterruptStage.terminate, .kill])
    func `what waits for its worker is to be asked harder, unless nothing is`(stage: InterruptStage) {
        var follower = StopFollower(makeReceipt(.accepted), signal: InterruptSignal(stage: stage))
        _ = follower.begin(now: .now)
        let hint = follower.failure(expected: nil, isWaiting: true, now: .now, waited: .seconds(2))?.hint
        #expect(hint?.hasSuffix("status nightly'") == (stage == .kill))
        #expect(hint?.hasSuffix(", or harder with 'interruptctl kill nightly'") == (stage == .terminate))
    }

    @Test(arguments: [RunState.failed, .lost])
    func `a job that is tried again, because Redis had lost the request, is followed into its next run`(state: RunState)
    {
        let ended = makeRecord(["exit_code": "1", "next_run": "r2"], state: state)
        for isOneRun in [false, true] {
            var follower = StopFollower(makeReceipt(.accepted), signal: signal, followsRetries: !isOneRun)
            _ = follower.begin(now: Timestamp(milliseconds: 0))
            #expect(follower.observe(ended, elapsed: .zero).isEmpty == !isOneRun)
            #expect(follower.isEnded == isOneRun)
            if isOneRun { continue }
            #expect(follower.needsReceipt && follower.status(isWaiting: true) == .failed)
            let text = follower.failure(expected: nil, isWaiting: true, now: .now, waited: .zero)?.description
            #expect(text == "Failed to interrupt command: Redis had lost the request, and job 'nightly' is tried again")
            let repetition = StopFollower(makeReceipt(.accepted, run: "r2"), signal: signal, isRepetition: true)
            #expect(follower.isMeant(by: repetition))
            #expect(follower.observe(repetition: repetition, now: .now) == [.recordedAgain])
            #expect(follower.run == RunID(rawValue: "r2") && follower.record == nil && follower.needsReceipt)
            let confirmed = ["run": "r2", "confirmed_at_ms": "5401"]
            let gone = makeRecord(acknowledged.merging(confirmed) { $1 }, state: .interrupted)
            #expect(follower.observe(gone, elapsed: .zero).last == .confirmed(gone))
            #expect(follower.status(isWaiting: true) == .done)
        }
    }

    @Test func `a job that is tried again may end before it begins, or have ended, or be asked for by others`() {
        let ended = makeRecord(["exit_code": "1", "next_run": "r2"], state: .failed)
        let other = InterruptSignal(id: RequestID(rawValue: "q9"), triggeredBy: "bob")
        let cases: [(InterruptReceipt, [StopFollower.Step], CommandStatus, String)] = [
            (
                makeReceipt(.stopped, run: "r2", state: .interrupted), [.recordedAgain, .neverStarted], .done,
                "interrupted"
            ),
            (makeReceipt(.ended, run: "r2", state: .completed), [], .alreadyEnded, "completed"),
            (
                makeReceipt(.already, run: "r2", inForce: other),
                [.alreadyRequested(stage: .terminate, by: "bob", ago: .seconds(3))], .unconfirmed, "running"
            ),
        ]
        for (receipt, steps, status, state) in cases {
            var follower = StopFollower(makeReceipt(.accepted), signal: signal)
            _ = follower.observe(ended, elapsed: .zero)
            let repetition = StopFollower(receipt, signal: signal, isRepetition: true)
            let asked = receipt.signal?.triggeredAt ?? signal.triggeredAt
            #expect(follower.observe(repetition: repetition, now: asked.advanced(by: .seconds(3))) == steps)
            #expect(follower.status(isWaiting: true) == status)
            let line = follower.json(error: nil).line
            #expect(line.contains(#""run":"r2""#) && line.contains("\"state\":\"\(state)\""), "\(line)")
        }
    }

    @Test(arguments: [RunState.queued, .running])
    func `a run that had begun is not called stopped because Redis has forgotten that`(seen: RunState) {
        var follower = StopFollower(makeReceipt(.accepted, state: .queued), signal: signal)
        let unstarted = ["started_at_ms": ""]
        _ = follower.observe(makeRecord(seen == .running ? [:] : unstarted, state: seen), elapsed: .zero)
        var other = follower
        // Somebody else's request has ended it, or its own, whose answer was lost.
        let ended = makeRecord(acknowledged.merging(unstarted) { $1 }, state: .interrupted)
        #expect(other.observe(ended, elapsed: .zero).isEmpty == (seen == .running))
        #expect(other.status(isWaiting: true) == (seen == .running ? .unconfirmed : .done))
        _ = follower.observe(makeRecord(unstarted, state: .queued), elapsed: .zero)
        let repetition = StopFollower(makeReceipt(.stopped, state: .interrupted), signal: signal, isRepetition: true)
        let steps = follower.observe(repetition: repetition, now: .now)
        #expect(steps == (seen == .running ? [.recordedAgain] : [.recordedAgain, .neverStarted]))
        #expect(follower.status(isWaiting: true) == (seen == .running ? .unconfirmed : .done))
        let failure = follower.failure(expected: nil, isWaiting: true, now: .now, waited: .zero)?.description
        #expect(failure?.hasSuffix("Redis had forgotten that it was started") == (seen == .running ? true : nil))
    }

    @Test(arguments: [RunState.completed, .failed])
    func `a run that ended by itself is not called interrupted`(state: RunState) {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        let record = makeRecord(["exit_code": "0"], state: state)
        #expect(follower.observe(record, elapsed: .zero) == [.tooLate(record)])
        #expect(follower.status(isWaiting: true) == .alreadyEnded)
    }

    @Test func `why a run holds out is said once, and again when nobody waits any longer`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        let held = makeRecord(
            acknowledged.merging(["holdout_section": "load", "holdout_since_ms": "1"]) { $1 },
            state: .cancelling
        )
        #expect(
            follower.observe(held, elapsed: .zero)
                == [.acknowledged(way: .push, after: .milliseconds(3)), .holdsOut(held)]
        )
        #expect(follower.observe(held, elapsed: .zero) == [])
        let lines = follower.lines(.holdsOut(held), on: Screen())
        #expect(lines.first?.hasPrefix("cannot be interrupted yet: in 'load' for ") == true)
        let now = Timestamp(milliseconds: 5_001)
        let failure = follower.failure(expected: nil, isWaiting: true, now: now, waited: .seconds(1))
        #expect(failure?.hint?.hasPrefix("it cannot be interrupted yet: in 'load' for 5.0s") == true)
        #expect(failure?.status == 5)
    }

    @Test func `a lost run is a failure, not a stop`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        _ = follower.observe(makeRecord(["pid": "77", "error": "its host burnt"], state: .lost), elapsed: .zero)
        #expect(follower.status(isWaiting: true) == .failed)
        let failure = follower.failure(expected: nil, isWaiting: true, now: .now, waited: .zero)
        #expect(
            failure?.description
                == "Failed to interrupt command: job 'nightly' (pid 77) was lost with its worker: its host burnt"
        )
    }

    @Test func `processes that outlive SIGKILL keep the request open, and are named`() {
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        let survivors = "still there after SIGKILL: 7 (sleep) not permitted: runs as uid 0; root must end it"
        let record = makeRecord(
            acknowledged.merging(["survivors": survivors, "holdout_since_ms": "1000"]) { $1 },
            state: .cancelling
        )
        #expect(follower.observe(record, elapsed: .zero).last == .holdsOut(record))
        #expect(follower.status(isWaiting: true) == .unconfirmed)
        let failure = follower.failure(expected: nil, isWaiting: true, now: .now, waited: .zero)
        #expect(failure?.description == "Failed to interrupt command: \(survivors)")
        #expect(failure?.status == 5)
        let lines = follower.lines(.holdsOut(record), on: Screen(width: 200))
        #expect(lines == ["✗ not stopped: \(survivors)"])
        let ended = makeRecord(["survivors": survivors, "term_signal": "9"], state: .interrupted)
        _ = follower.observe(ended, elapsed: .zero)
        #expect(follower.status(isWaiting: true) == .done, "they have gone since")
    }

    @Test func `a drain is done when the worker knows, for what runs may finish`() {
        var drain = signal
        drain.stage = .drain
        var follower = StopFollower(makeReceipt(.accepted), signal: drain)
        let record = makeRecord(acknowledged.merging(["stage": "1"]) { $1 })
        #expect(
            follower.observe(record, elapsed: .zero)
                == [.acknowledged(way: .push, after: .milliseconds(3)), .willFinish]
        )
        #expect(follower.status(isWaiting: true) == .done)
    }

    @Test func `a hundred clicks are one interrupt, and the others hear who was first`() {
        var first = signal
        first.triggeredAt = Timestamp(milliseconds: 1_000)
        var follower = StopFollower(makeReceipt(.already, inForce: first), signal: InterruptSignal())
        guard case .alreadyRequested(.terminate, "ann@box", _) = follower.begin(now: .now).first else {
            Issue.record("not said")
            return
        }
        #expect(follower.isAlreadyRequested)
        #expect(follower.status(isWaiting: false) == .done)
    }

    @Test func `asking again after an unknown outcome is no second request`() {
        var follower = StopFollower(makeReceipt(.known, inForce: signal), signal: signal, isRepetition: true)
        #expect(follower.begin(now: .now) == [.recorded])
        #expect(!follower.isAlreadyRequested)
    }

    @Test func `waiting lasts longer than a worker waits for what SIGKILL does not end`() {
        var kill = signal
        kill.stage = .kill
        let limit = StopFollower(makeReceipt(.accepted), signal: kill).waitLimit
        #expect(limit >= StopLimits.survival + .seconds(1))
    }

    @Test func `waiting takes the grace period and five seconds, a kill has no grace`() {
        var own = signal
        own.gracePeriod = .seconds(2)
        #expect(StopFollower(makeReceipt(.accepted), signal: own).waitLimit == .seconds(7))
        var follower = StopFollower(makeReceipt(.accepted), signal: signal)
        _ = follower.observe(makeRecord(["grace_ms": "1000"]), elapsed: .zero)
        #expect(follower.waitLimit == .seconds(6))
        own.stage = .kill
        #expect(StopFollower(makeReceipt(.accepted), signal: own).waitLimit == .seconds(5))
    }

    @Test func `JSON has all eleven fields`() {
        let line = StopFollower(makeReceipt(.accepted), signal: signal).json(error: nil).line
        #expect(
            line
                == #"{"acknowledged_ms":null,"already_requested":false,"confirmed_ms":null,"error":null,"job":"nightly","#
                + #""replicas":null,"request_id":"q1","run":"r0123456789abcdefghi","stage":null,"state":"running","via":null}"#
        )
    }
}
