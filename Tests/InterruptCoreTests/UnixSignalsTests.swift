import Glibc
import InterruptCore
import Synchronization
import Testing

private let handled = Atomic<Int>(0)

/// The handler that a program had before.
private func count(_: Int32) { handled.add(1, ordering: .relaxed) }

private struct Trouble: Error {}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `Unix signals` {
    init() {
        handled.store(0, ordering: .relaxed)
        signal(SIGUSR1, count)
        signal(SIGUSR2, SIG_IGN)
    }

    /// A signal to a process may be handled by any of its threads, a moment later.
    private func isHandled(_ times: Int) async {
        while handled.load(ordering: .relaxed) < times, !Task.isCancelled { await Task.yield() }
        #expect(handled.load(ordering: .relaxed) == times)
    }

    private func first(_ signals: UnixSignals) async -> Int32? {
        var iterator = signals.makeAsyncIterator()
        return await iterator.next()
    }

    @Test func `come as a sequence instead of to the handler from before, which then is in place again`() async throws {
        try await withUnixSignals([SIGUSR1, SIGUSR2]) { signals in
            for number in [SIGUSR1, SIGUSR2, SIGUSR1] {
                kill(getpid(), number)
                #expect(await first(signals) == number)
            }
        }
        #expect(handled.load(ordering: .relaxed) == 0)
        kill(getpid(), SIGUSR2)  // ignored again: the default would end this process
        kill(getpid(), SIGUSR1)
        await isHandled(1)
    }

    @Test func `have their handler back when the body throws`() async throws {
        await #expect(throws: Trouble.self) { try await withUnixSignals([SIGUSR1, SIGUSR2]) { _ in throw Trouble() } }
        #expect(UnixSignals.isIgnored(SIGUSR2) && !UnixSignals.isIgnored(SIGUSR1))
        kill(getpid(), SIGUSR1)
        await isHandled(1)
    }

    @Test func `that nobody has read are not lost, unless they are to be`() async throws {
        try await withUnixSignals([SIGUSR1]) { _ in _ = kill(getpid(), SIGUSR1) }
        await isHandled(1)
        try await withUnixSignals([SIGUSR1]) { outer in
            try await withUnixSignals([SIGUSR1]) { inner in
                kill(getpid(), SIGUSR1)
                #expect(await first(inner) == SIGUSR1)  // the outer one has it too
            }
            outer.forget()
        }
        #expect(handled.load(ordering: .relaxed) == 1)
    }

    @Test func `reach the inner and the outer of nested scopes, and the handler after the outer one only`() async throws
    {
        try await withUnixSignals([SIGUSR1]) { outer in
            try await withUnixSignals([SIGUSR1]) { inner in
                kill(getpid(), SIGUSR1)
                #expect(await first(inner) == SIGUSR1)
            }
            #expect(await first(outer) == SIGUSR1)
            kill(getpid(), SIGUSR1)
            #expect(await first(outer) == SIGUSR1)
        }
        #expect(handled.load(ordering: .relaxed) == 0)
        kill(getpid(), SIGUSR1)
        await isHandled(1)
    }

    @Test func `keep what they were through scopes that come, overlap and go, none of them lost`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<100 { try await withUnixSignals([SIGUSR1, SIGUSR2]) { _ in await Task.yield() } }
                }
            }
            try await group.waitForAll()
        }
        #expect(UnixSignals.isIgnored(SIGUSR2))
        for _ in 0..<200 {
            let before = handled.load(ordering: .relaxed)
            async let scope: Void = withUnixSignals([SIGUSR1]) { _ in await Task.yield() }
            kill(getpid(), SIGUSR1)
            try await scope
            await isHandled(before + 1)
        }
    }

    @Test func `that cannot be taken over are an error, and change nothing`() async {
        for number: Int32 in [-1, 100] {
            await #expect(throws: SignalSetupError.self) { try await withUnixSignals([SIGUSR1, number]) { _ in } }
        }
        let error = await #expect(throws: SignalSetupError.self) {
            try await withUnixSignals([SIGUSR1, SIGKILL]) { _ in }
        }
        #expect(error?.description == "Failed to set up interrupt handling: Invalid argument")
        kill(getpid(), SIGUSR1)
        await isHandled(1)
    }

    @Test func `end with the task that reads them`() async throws {
        try await withUnixSignals([SIGUSR1]) { signals in
            let reading = Task { for await _ in signals {} }
            reading.cancel()
            await reading.value
        }
    }
}
