import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

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
