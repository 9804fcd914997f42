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

@Suite struct `Exit statuses` {
    @Test(arguments: [
        (InterruptReceipt.Outcome.accepted, CommandStatus.unconfirmed, CommandStatus.unconfirmed),
        (.escalated, .unconfirmed, .unconfirmed), (.already, .unconfirmed, .unconfirmed),
        (.known, .unconfirmed, .unconfirmed), (.stopped, .done, .done), (.ended, .alreadyEnded, .done),
        (.missing, .noSuchJob, .done), (.replaced, .alreadyEnded, .done),
    ])
    func `every receipt has its exit status, and --if-running forgives only that nothing ran`(
        outcome: InterruptReceipt.Outcome,
        status: CommandStatus,
        tolerant: CommandStatus
    ) {
        var follower = StopFollower(makeReceipt(outcome), signal: InterruptSignal())
        _ = follower.begin(now: .now)
        #expect(follower.status(isWaiting: true) == status)
        #expect(follower.status(isWaiting: true).tolerating(nothingRunning: true) == tolerant)
    }

    @Test func `of several targets the worst counts`() {
        let order: [CommandStatus] = [
            .failed, .notPermitted, .unavailable, .unconfirmed, .noSuchJob, .alreadyEnded, .done,
        ]
        for (index, status) in order.enumerated() {
            #expect(CommandStatus.worst(order[index...].reversed()) == status)
        }
        #expect(CommandStatus.worst([]) == .done)
    }

    @Test(arguments: [
        (["exit_code": "0"], RunState.completed, Int32(0)), (["exit_code": "3"], .failed, 3),
        (["exit_code": "127", "error": "no such file"], .failed, 127), (["exit_code": "126"], .failed, 126),
        (["term_signal": "11"], .failed, 139), (["reason": "timeout", "term_signal": "15"], .interrupted, 124),
        (["reason": "user_cancelled", "term_signal": "15"], .interrupted, 130), ([:], .lost, 125), ([:], .failed, 125),
    ])
    func `run and wait give the job's own`(fields: [String: String], state: RunState, status: Int32) {
        #expect(OutcomeText.exitStatus(makeRecord(fields, state: state)) == status)
    }

    @Test(arguments: [
        ("WRONGPASS invalid username-password pair", Int32(77)), ("NOAUTH Authentication required.", 77),
        ("NOPERM this user has no permissions to run the 'evalsha' command", 77),
        ("ERR ACL failure in script: No permissions to access a key", 77), ("LOADING Redis is loading", 69),
        ("READONLY You can't write against a read only replica.", 1), ("OOM command not allowed", 1),
        (
            "ERR Error running script (call to f_38f2): @user_script:64: @user_script: 64: -NOPERM this user has no rights",
            77
        ),
    ])
    func `what the server refuses is told apart from what it is not allowed`(text: String, status: Int32) {
        #expect(CommandFailure(RedisError.fromReply(text)).status == status)
    }

    @Test func `a Redis that is full is said with what to do about it`() {
        let reply = "OOM command not allowed when used memory > 'maxmemory'. script: 38f2, on @user_script:64."
        let lines = CommandFailure(RedisError.fromReply(reply)).lines
        #expect(lines.first == "error: refused by Redis: OOM command not allowed when used memory > 'maxmemory'.")
        #expect(lines.last?.hasPrefix("hint: nothing was recorded; raise maxmemory or free memory") == true)
        #expect(lines.count == 2)
    }

    @Test(arguments: [
        (RedisError(.notARedisServer, "an HTTP server answered"), "check scheme, host and port in --redis"),
        (RedisError(.cannotConnect, "connection refused"), "nothing was sent; check --redis"),
        (RedisError(.cannotConnect, "x", replyPrefix: "BUSY"), "nothing was sent; try again in a moment"),
        (RedisError(.cannotConnect, "ERR max number of clients reached"), "raise maxclients"),
        (RedisError(.wrongSettings, "x"), "--tls-ca"), (RedisError(.timedOut, "no reply"), "stopped or busy?"),
    ])
    func `a server that is none, or does not answer, is unavailable with a hint`(error: RedisError, hint: String) {
        let failure = CommandFailure(error)
        #expect(failure.status == 69 && failure.hint?.contains(hint) == true)
    }

    @Test func `a question without an answer leaves nothing unknown`() {
        let failure = CommandFailure(asking: RedisError(.timedOut, "no reply to HGET in time", isOutcomeUnknown: true))
        #expect(failure.description == "no reply to HGET in time" && failure.status == 69)
    }

    @Test func `an outcome that a second try left unknown says both reasons, or one twice`() {
        let lost = RedisError(.connectionLost, "lost", isOutcomeUnknown: true)
        let text = CommandFailure(lost, then: RedisError.fromReply("READONLY a replica"), isOneScript: true).description
        #expect(text == "unknown whether it is recorded: lost; asked again: READONLY a replica")
        let twice = CommandFailure(lost, then: lost, isOneScript: true)
        #expect(twice.description == "unknown whether it is recorded: lost, twice")
    }

    @Test(arguments: ["NOREPLICAS none", "OOM full", "MISCONF disk", "NOPERM this user has no rights"])
    func `that nothing is recorded follows from a second try of one script that is refused, and of no more`(
        refusal: String
    ) {
        let lost = RedisError(.connectionLost, "lost", isOutcomeUnknown: true)
        var refused = RedisError.fromReply(refusal)
        #expect(CommandFailure(lost, then: refused, isOneScript: true).lines == CommandFailure(refused).lines)
        let unknown = CommandFailure(lost, then: refused, isOneScript: false)
        #expect(unknown.status == 69)
        #expect(unknown.description.hasPrefix("unknown whether it is recorded: lost; asked again"))
        var half = lost
        half.isPartlyDone = true
        #expect(CommandFailure(half, then: refused, isOneScript: true).status == 69)
        refused.isPartlyDone = true
        #expect(CommandFailure(lost, then: refused, isOneScript: true).status == 69)
    }

    @Test func `an unknown outcome is called unknown`() {
        let failure = CommandFailure(RedisError(.connectionLost, "lost", isOutcomeUnknown: true))
        #expect(failure.status == 69)
        #expect(failure.description.hasPrefix("unknown whether it is recorded"))
    }

    @Test func `an embedded server that is not there is said with the way to start it`() {
        let failure = CommandFailure(
            RedisError(.cannotConnect, "there is no such socket"),
            embeddedSocket: "/run/x.sock"
        )
        #expect(failure.status == 69)
        #expect(
            failure.lines == [
                "error: no Redis: nothing listens at /run/x.sock",
                "hint: start 'interruptd' here, or pass --redis URL",
            ]
        )
    }

    @Test func `trouble of an attached command is 125, wrong usage stays 64`() {
        #expect(CommandFailure(.unavailable, "x").ofAttachedCommand.status == 125)
        #expect(CommandFailure(.usage, "x").ofAttachedCommand.status == 64)
        #expect(CommandFailure.silent(3).ofAttachedCommand.status == 3)
    }
}

@Suite struct `Presses of Ctrl-C` {
    struct Moment: InstantProtocol {
        var milliseconds: Int64
        func advanced(by duration: Duration) -> Moment { Moment(milliseconds: milliseconds + duration.milliseconds) }
        func duration(to other: Moment) -> Duration { .milliseconds(other.milliseconds - milliseconds) }
        static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }
    }

    @Test func `the first interrupts, the second kills, the third leaves`() {
        var presses = AttachedPresses<Moment>()
        #expect(presses.press(at: Moment(milliseconds: 0)) == .interrupt(.terminate))
        #expect(presses.press(at: Moment(milliseconds: 299)) == .none)
        #expect(presses.press(at: Moment(milliseconds: 300)) == .none)  // 1 ms after the one before
        #expect(presses.press(at: Moment(milliseconds: 600)) == .interrupt(.kill))
        #expect(presses.press(at: Moment(milliseconds: 700)) == .none)
        #expect(presses.press(at: Moment(milliseconds: 1_000)) == .leave)
    }

    @Test func `holding the key for 3 s interrupts once and kills nothing`() {
        var presses = AttachedPresses<Moment>()
        let actions = stride(from: 0, through: 3_000, by: 30).map { presses.press(at: Moment(milliseconds: $0)) }
        #expect(actions.filter { $0 != .none } == [.interrupt(.terminate)])
    }

    @Test func `what is said names what the next press does`() {
        let screen = Screen()
        let text = AttachedPresses<Moment>.text(.interrupt(.terminate), on: screen)
        #expect(text == "⏹ Interrupting... Press Ctrl+C again to kill it now")
        #expect(AttachedPresses<Moment>.text(.leave, on: screen)!.contains("nothing was undone"))
    }
}

@Suite struct `Waiting for several jobs` {
    @Test func `the first status in order that is not 0 counts, with --any the first to end`() {
        let first = makeRecord(["job": "a", "run": "ra", "exit_code": "2"], state: .failed)
        let second = makeRecord(["job": "b", "run": "rb", "exit_code": "0"], state: .completed)
        var all = WaitBoard(jobs: ["a", "b"], isAny: false)
        #expect(all.observe(makeRecord(["job": "a", "run": "ra"])) == nil)
        #expect(all.observe(second) == second)
        #expect(all.openRuns == [RunID(rawValue: "ra")])
        #expect(all.status == nil)
        #expect(all.observe(first) == first)
        #expect(all.status == 2)
        var any = WaitBoard(jobs: ["a", "b"], isAny: true)
        _ = any.observe(second)
        #expect(any.status == 0)
    }
}
