import InterruptCore
import Testing

@Suite struct `Reasons` {
    @Test(
        arguments: zip(
            [
                InterruptReason.userCancelled, .timeout, .resourceLimit, .errorThreshold, .priorityOverride,
                .systemShutdown, .custom,
            ],
            [
                "user_cancelled", "timeout", "resource_limit", "error_threshold", "priority_override",
                "system_shutdown",
                "custom",
            ]
        )
    )
    func `the seven have their exact spelling and survive a round trip`(reason: InterruptReason, text: String) {
        #expect(reason.rawValue == text)
        #expect(InterruptReason(rawValue: text) == reason)
        #expect(reason.isKnown)
        #expect(reason.kind.rawValue == text)
    }

    @Test func `there are seven kinds`() {
        #expect(InterruptReason.Kind.allCases.count == 7)
    }

    @Test(arguments: ["cosmic_ray", "", "USER_CANCELLED", "timeout ", "🛑"])
    func `an unknown one is kept as it came and counts as custom`(text: String) {
        let reason = InterruptReason(rawValue: text)
        #expect(reason.rawValue == text)
        #expect(reason.description == text)
        #expect(reason.kind == .custom)
        #expect(!reason.isKnown)
        #expect(reason != .custom)
    }
}

@Suite struct `Stages` {
    @Test(arguments: [
        (InterruptStage?.none, [false, false, false, false]),
        (.drain, [true, true, false, false]),
        (.terminate, [true, true, true, false]),
        (.kill, [true, true, true, true]),
    ])
    func `the predicates follow the truth table`(stage: InterruptStage?, truth: [Bool]) {
        #expect(
            [
                stage.isInterrupted, stage.shouldCancelQueuedTasks, stage.shouldTerminateActiveTasks,
                stage.shouldExitImmediately,
            ] == truth
        )
    }

    @Test func `they are numbered 1 to 3 and rise one by one`() {
        #expect(InterruptStage.allCases.map(\.rawValue) == [1, 2, 3])
        #expect(InterruptStage.allCases.map(\.name) == ["drain", "terminate", "kill"])
        #expect(InterruptStage.drain.next == .terminate)
        #expect(InterruptStage.terminate.next == .kill)
        #expect(InterruptStage.kill.next == nil)
        #expect(InterruptStage(rawValue: 0) == nil)
        #expect(InterruptStage(rawValue: 4) == nil)
        #expect(InterruptStage.drain < .terminate && .terminate < .kill)
    }
}

@Suite struct `Priorities` {
    @Test func `each has its stage, hard has a short grace period, and critical none at all`() {
        let all = InterruptPriority.allCases
        #expect(all.map(\.rawValue) == [1, 5, 9, 10])
        #expect(all.map(\.stage) == [.drain, .terminate, .terminate, .kill])
        let signals = all.map {
            InterruptSignal(priority: $0, reason: .priorityOverride, message: "m", triggeredBy: "ann")
        }
        #expect(signals.map(\.stage) == all.map(\.stage))
        #expect(signals.map(\.gracePeriod) == [nil, nil, .seconds(1), nil])
        #expect(signals.allSatisfy { $0.reason == .priorityOverride && $0.message == "m" && $0.triggeredBy == "ann" })
    }
}

@Suite struct `Stage texts` {
    @Test(arguments: [
        (
            InterruptStage.drain, "Interrupt received: Cancelling queued tasks, completing active work...",
            "Press Ctrl+C again to terminate active tasks" as String?,
            "Graceful cancellation: Finishing current work, no new tasks started"
        ),
        (
            .terminate, "Second interrupt: Terminating active tasks, returning partial results...",
            "Press Ctrl+C again for immediate exit",
            "Urgent cancellation: Stopping active tasks, saving partial results"
        ),
        (
            .kill, "Third interrupt: Immediate termination!", nil, "Immediate termination: Exiting without cleanup"
        ),
    ])
    func `announcement, hint and heading are exact`(
        stage: InterruptStage,
        announcement: String,
        hint: String?,
        heading: String
    ) {
        #expect(StageTexts.announcement(stage) == announcement)
        #expect(StageTexts.hint(after: stage) == hint)
        #expect(StageTexts.heading(stage) == heading)
        #expect(!StageTexts.details(stage).isEmpty)
    }

    @Test func `an escalation names both stages`() {
        #expect(
            StageTexts.escalation(from: nil, to: .drain)
                == "Interrupt escalation: Normal Operation → Graceful Cancellation"
        )
        #expect(
            StageTexts.escalation(from: .terminate, to: .kill)
                == "Interrupt escalation: Urgent Cancellation → Immediate Termination"
        )
        #expect(
            StageTexts.escalation(from: .drain, to: .terminate, isPlain: true)
                == "Interrupt escalation: Graceful Cancellation -> Urgent Cancellation"
        )
    }

    @Test func `the help has three lines`() {
        #expect(StageTexts.help.count == 3)
    }
}

@Suite struct `Names` {
    @Test(arguments: ["a", "0", "A.b_c-9", "All", "all2", String(repeating: "x", count: 128)])
    func `what the alphabet allows is accepted as it is`(text: String) throws {
        #expect(try Name(text).description == text)
    }

    @Test(arguments: [
        ("", "the name is empty"), ("all", "'all' is reserved"), (".a", "byte 0"), ("-a", "byte 0"), ("_a", "byte 0"),
        ("a b", "byte 1"), ("ab:c", "byte 2"), ("a/b", "byte 1"), ("a\0", "byte 1"), ("é", "byte 0"), ("aé", "byte 1"),
        ("a*", "byte 1"), ("a{b}", "byte 1"), ("a\nb", "byte 1"), ("abc\u{0301}", "byte 3"), ("١", "byte 0"),
        (String(repeating: "x", count: 129), "129 bytes"),
    ])
    func `anything else is refused with the place`(text: String, part: String) {
        let error = #expect(throws: NameError.self) { try Name(text) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    }

    @Test func `a huge name makes a short message`() throws {
        let error = #expect(throws: NameError.self) { try Name(String(repeating: "x", count: 1_000_000) + "\u{1B}[2J") }
        let text = try #require(error?.description)
        #expect(text.utf8.count < 300)
        #expect(text.contains("byte 1000000"))
    }

    @Test func `ten thousand run ids are all different`() {
        #expect(Set((0..<10_000).map { _ in RunID.random() }).count == 10_000)
    }
}

@Suite struct `Targets` {
    @Test(arguments: [
        ("etl", false), ("group:nightly", true), ("queue:q", true), ("worker:w.1", true), ("all", true),
    ])
    func `each form is read and written back`(text: String, isWide: Bool) throws {
        let target = try InterruptTarget(text)
        #expect(target.description == text)
        #expect(target.isWide == isWide)
    }

    @Test(arguments: [
        ("", "job id: the name is empty"), ("group:", "group: the name is empty"), ("group:all", "reserved"),
        ("host:x", "use JOB, group:NAME, queue:NAME, worker:NAME or all"), ("queue:a b", "queue: 'a b'"),
        ("a:b:c", "is not a target"), ("worker:x:y", "byte 1"), ("ALL ", "byte 3"),
    ])
    func `anything else names the part that is wrong`(text: String, part: String) {
        let error = #expect(throws: TargetError.self) { try InterruptTarget(text) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    }
}

@Suite struct `Signals` {
    @Test func `a plain request has the documented defaults`() {
        let before = Timestamp.now
        let signal = InterruptSignal()
        #expect(signal.stage == .terminate)
        #expect(signal.reason == .userCancelled)
        #expect(signal.message == nil)
        #expect(signal.triggeredBy == nil)
        #expect(signal.savesCheckpoint)
        #expect(signal.gracePeriod == nil)
        #expect(signal.source == .local)
        #expect(signal.target == nil)
        #expect(before <= signal.triggeredAt && signal.triggeredAt <= .now)
        #expect(signal.id != InterruptSignal().id)
    }

    @Test func `the error says the message, or the default text with the reason`() {
        #expect(InterruptedError(InterruptSignal()).description == "Execution interrupted: user_cancelled")
        #expect(
            InterruptedError(InterruptSignal(reason: .init(rawValue: "odd"))).description
                == "Execution interrupted: odd"
        )
        #expect(InterruptedError(InterruptSignal(message: "enough")).description == "enough")
    }

    @Test func `the error explains itself to the person who waits`() {
        let byUser = InterruptedError(InterruptSignal())
        #expect(byUser.explanation == "Processing was cancelled by the user.")
        #expect(InterruptedError(InterruptSignal(message: "enough")).explanation == "enough")
        #expect(InterruptedError(InterruptSignal(reason: .timeout)).explanation == "Execution interrupted: timeout")
    }

    @Test func `an event ties a signal to its run`() {
        let signal = InterruptSignal()
        let run = RunID.random()
        #expect(InterruptEvent(run: run, signal: signal).run == run)
        #expect(InterruptEvent(run: run, signal: signal).signal == signal)
    }
}

@Suite struct `States of a run` {
    @Test func `the table is the documented one`() {
        let ends: Set<RunState> = [.completed, .failed, .interrupted, .lost]
        let table: [RunState: Set<RunState>] = [
            .queued: [.running, .interrupted, .failed],
            .running: ends.union([.paused, .cancelling]),
            .paused: ends.union([.running, .cancelling]),
            .cancelling: ends,
        ]
        for state in RunState.allCases {
            #expect(Set(RunState.allCases.filter(state.canBecome)) == table[state] ?? [], "from \(state)")
            #expect(state.isEnd == ends.contains(state))
        }
    }

    @Test func `in 100,000 random sequences an end is final and cancelling never goes back`() {
        var generator = SystemRandomNumberGenerator()
        var wrong = 0
        for _ in 0..<100_000 {
            var state = RunState.queued
            for _ in 0..<12 {
                let next = RunState.allCases.randomElement(using: &generator)!
                guard state.canBecome(next) else { continue }
                if state.isEnd || next == .queued || (state == .cancelling && !next.isEnd) { wrong += 1 }
                state = next
            }
        }
        #expect(wrong == 0)
    }
}
