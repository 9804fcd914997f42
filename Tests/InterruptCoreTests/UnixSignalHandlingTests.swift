import Glibc
import Synchronization
import Testing

@testable import InterruptCore

private let plainCalls = Atomic<Int>(0)
private let detailedSender = Atomic<Int32>(0)

private func install(_ handler: @escaping @convention(c) (Int32) -> Void, for number: Int32) { signal(number, handler) }

private func plain(_: Int32) { plainCalls.add(1, ordering: .relaxed) }

private func installDetailed(for number: Int32) {
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = { _, info, _ in
        detailedSender.store(info?.pointee._sifields._kill.si_pid ?? -1, ordering: .relaxed)
    }
    action.sa_flags = SA_SIGINFO
    sigaction(number, &action, nil)
}

/// The address of the handler that the one below calls in its turn.
private let earlier = Atomic<UInt>(0)

private func coveringHandler(_ number: Int32) {
    plainCalls.add(1, ordering: .relaxed)
    let address = earlier.load(ordering: .acquiring)
    if address > 1 { unsafeBitCast(address, to: (@convention(c) (Int32) -> Void).self)(number) }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `Unix signals to a scope` {
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }

        func feedback(_ change: (inout InterruptFeedback) -> Void = { _ in }) -> InterruptFeedback {
            var feedback = InterruptFeedback()
            feedback.show = { line in self.lines.withLock { $0.append(line) } }
            change(&feedback)
            return feedback
        }
    }

    /// What nobody has read when the handling ends is raised again; here it is ignored then.
    private func ignoring(_ body: () async throws -> Void) async throws {
        for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
        defer { for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) } }
        try await body()
    }

    @Test func `a press of Ctrl-C is stage 1, key repeat adds nothing, and it is said once`() async throws {
        var lines = Lines()
        var isLate = true
        while isLate {
            lines = Lines()
            try await ignoring {
                try await withUnixSignalHandling(feedback: lines.feedback()) { scope in
                    let began = ContinuousClock.now
                    for _ in 0..<3 { kill(getpid(), SIGINT) }
                    let signal = await scope.signals.first { _ in true }
                    #expect(signal?.stage == .drain && signal?.reason == .userCancelled)
                    #expect(signal?.source == .unixSignal && signal?.triggeredBy == "SIGINT")
                    kill(getpid(), SIGTERM)
                    let second = await scope.signals.first { $0.stage == .terminate }
                    isLate = began.duration(to: .now) >= Presses<ContinuousClock.Instant>.repetition
                    if isLate { return }  // they may have arrived as presses of their own: once more
                    #expect(second?.reason == .systemShutdown && second?.triggeredBy == "SIGTERM")
                    #expect(throws: InterruptedError.self) { try scope.checkpoint() }
                }
            }
        }
        while lines.all.count < 3 { await Task.yield() }
        #expect(
            lines.all == [
                "Interrupt received: Cancelling queued tasks, completing active work...",
                "Interrupt escalation: Normal Operation → Graceful Cancellation",
                "Press Ctrl+C again to terminate active tasks",
            ]
        )
    }

    @Test func `they arrive while every thread of the pool is busy, and while the scope ends`() async throws {
        try await ignoring {
            try await withUnixSignalHandling(feedback: nil) { scope in
                #expect(
                    scope.onEnd("waits for stage 2") {
                        for await signal in scope.signals where signal.stage == .terminate { break }
                    }
                )
                kill(getpid(), SIGINT)
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 { group.addTask { while !scope.isInterrupted {} } }
                }
                kill(getpid(), SIGTERM)
            }
        }
    }

    @Test func `a scope that is not below the handled one has handling of its own`() async throws {
        try await ignoring {
            try await withUnixSignalHandling(feedback: nil) { outer in
                try await withDetachedInterruptScope { _ in
                    try await withUnixSignalHandling(feedback: nil) { inner in
                        kill(getpid(), SIGINT)
                        _ = await inner.signals.first { _ in true }
                        _ = await outer.signals.first { _ in true }
                        #expect(inner.cause?.id != outer.cause?.id)
                    }
                }
            }
        }
    }

    @Test func `a call inside of another one leaves the signals to that, and dispositions come back`() async throws {
        let lines = Lines()
        try await ignoring {
            try await withUnixSignalHandling(feedback: nil) { outer in
                try await withUnixSignalHandling(feedback: lines.feedback()) { inner in
                    kill(getpid(), SIGINT)
                    _ = await inner.signals.first { _ in true }
                    #expect(inner.cause?.id == outer.cause?.id)
                }
            }
            #expect(lines.all.isEmpty && UnixSignals.isIgnored(SIGINT) && UnixSignals.isIgnored(SIGTERM))
        }
    }

    @Test func `of 100 parallel runs each keeps what was finished when a real signal comes, and starts no more`()
        async throws
    {
        try await ignoring {
            for round in 0..<100 {
                let number = round % 2 == 0 ? SIGINT : SIGTERM
                let results = try await withUnixSignalHandling(feedback: nil) { scope in
                    try await ParallelRunner(workers: 4).run(Array(0..<40)) { item in
                        if item == 6 { kill(getpid(), number) }
                        if item >= 6 { _ = await scope.signals.first { _ in true } }
                        return item
                    }
                }
                let counts = results.counts
                #expect(counts.cancelled >= 30 && counts.failed == 0, "\(counts)")
                #expect(counts.completed + counts.terminated + counts.running + counts.cancelled == 40, "\(counts)")
                #expect(results.values.allSatisfy { $0.index == $0.value } && counts.completed >= 6)
            }
        }
    }

    @Test func `handlers from before are called too, with what the kernel tells, unless they are not to be`()
        async throws
    {
        install(plain, for: SIGINT)
        installDetailed(for: SIGTERM)
        defer { for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) } }
        plainCalls.store(0, ordering: .relaxed)
        try await withUnixSignalHandling(feedback: nil) { scope in
            kill(getpid(), SIGINT)
            _ = await scope.signals.first { _ in true }
            kill(getpid(), SIGTERM)
            _ = await scope.signals.first { $0.stage == .terminate }
            while detailedSender.load(ordering: .relaxed) != getpid() { await Task.yield() }
            while plainCalls.load(ordering: .relaxed) < 1 { await Task.yield() }
        }
        detailedSender.store(0, ordering: .relaxed)
        try await withUnixSignalHandling(callsEarlierHandlers: false, feedback: nil) { scope in
            kill(getpid(), SIGTERM)
            _ = await scope.signals.first { _ in true }
        }
        #expect(detailedSender.load(ordering: .relaxed) == 0)
        kill(getpid(), SIGTERM)
        while detailedSender.load(ordering: .relaxed) != getpid() { await Task.yield() }
    }

    @Test func `a handler that is put over ours meanwhile stays, and both may call each other`() async throws {
        plainCalls.store(0, ordering: .relaxed)
        defer {
            signal(SIGINT, SIG_IGN)  // passes over one that is still to come
            for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
        }
        for _ in 0..<2 {
            try await withUnixSignalHandling(feedback: nil) { scope in
                earlier.store(unsafeBitCast(signal(SIGINT, coveringHandler), to: UInt.self), ordering: .releasing)
                kill(getpid(), SIGINT)
                _ = await scope.signals.first { _ in true }
            }
        }
        let before = plainCalls.load(ordering: .relaxed)
        #expect(before >= 2)
        kill(getpid(), SIGINT)
        while plainCalls.load(ordering: .relaxed) == before { await Task.yield() }
    }

    @Test func `a handler that saved ours and puts it back afterwards leaves no signal dead`() async throws {
        plainCalls.store(0, ordering: .relaxed)
        install(plain, for: SIGTERM)
        defer { signal(SIGTERM, SIG_DFL) }
        var ours = sigaction()
        try await withUnixSignalHandling(callsEarlierHandlers: false, feedback: nil) { _ in
            sigaction(SIGTERM, nil, &ours)
            install({ _ in }, for: SIGTERM)
        }
        sigaction(SIGTERM, &ours, nil)
        kill(getpid(), SIGTERM)
        while plainCalls.load(ordering: .relaxed) == 0 { await Task.yield() }
    }

    @Test func `the texts have their switches, and presses their maximum`() {
        var feedback = InterruptFeedback()
        (feedback.showsHelp, feedback.isDetailed, feedback.isPlain) = (false, true, true)
        #expect(
            feedback.lines(from: .drain, to: .terminate) == [
                "Second interrupt: Terminating active tasks, returning partial results...",
                "Interrupt escalation: Graceful Cancellation -> Urgent Cancellation",
                "Urgent cancellation: Stopping active tasks, saving partial results",
                "  - Active tasks are asked to end", "  - Partial results are being saved",
            ]
        )
        #expect(InterruptFeedback().lines(from: .terminate, to: .kill).last?.contains("Press") == false)
    }

    @Test func `a press at the maximum changes nothing`() async throws {
        try await ignoring {
            try await withUnixSignalHandling(maximumStage: .drain, feedback: nil) { scope in
                kill(getpid(), SIGINT)
                _ = await scope.signals.first { _ in true }
                usleep(310_000)  // longer than key repeat: this is about the person's pause
                kill(getpid(), SIGINT)
                kill(getpid(), SIGTERM)
                let names = await scope.signals.prefix(2).reduce(into: []) { $0.append($1.triggeredBy) }
                #expect(names == ["SIGINT", "SIGTERM"])
            }
        }
    }
}
