import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptRedis

/// What a run was told about pausing, in order.
final class Pausings: Sendable {
    private let list = Mutex<[Bool]>([])
    private let wakeup = Wakeup()

    @Sendable func add(_ isToBePaused: Bool) {
        list.withLock { $0.append(isToBePaused) }
        wakeup.signal()
    }

    var all: [Bool] { list.withLock { $0 } }

    /// Waits until it was told so many times.
    func told(_ count: Int) async {
        while all.count < count, !Task.isCancelled { await wakeup.wait() }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct `A pause arrives` {
    private func started(_ watching: Watching, _ job: String = "j") async throws -> (RunID, Pausings) {
        let (order, _) = try await watching.start(job)
        let pausings = Pausings()
        watching.transport.watch(order, pausing: pausings.add) { _, _ in }
        return (order.run, pausings)
    }

    @Test func `by its tracked key alone, and its end likewise`() async throws {
        try await withWatching(ways: [.tracked]) { watching in
            try await watching.isReady()
            let (run, pausings) = try await started(watching)
            try await watching.isReady(tracking: 6)
            var times: [Duration] = []
            for count in 1...20 {
                let start = ContinuousClock.now
                _ = try await watching.scene.ask(count.isMultiple(of: 2) ? .resume : .pause, run)
                await pausings.told(count)
                times.append(start.duration(to: .now))
                try await watching.transport.record(isPaused: !count.isMultiple(of: 2), of: run)
            }
            #expect(pausings.all == (1...20).map { !$0.isMultiple(of: 2) })
            print("pause by tracked key: the first \(times[0]) after the call began")
        }
    }

    @Test func `by the poll alone, when every push is lost`() async throws {
        try await withWatching(ways: [.poll], pollInterval: .milliseconds(30)) { watching in
            let (run, pausings) = try await started(watching)
            try await watching.scene.until { try await watching.scene.polls() > 6 }
            #expect(try await watching.scene.ask(.pause, run) == .recorded)
            await pausings.told(1)
            #expect(try await watching.scene.ask(.resume, run) == .withdrawn)
            await pausings.told(2)
            #expect(pausings.all == [true, false])
        }
    }

    @Test func `by the reading after a reconnect, when it fell into the gap`() async throws {
        try await withWatching(ways: [.reconnect]) { watching in
            try await watching.isReady()
            try await watching.scene.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
            let (run, pausings) = try await started(watching)
            try await watching.scene.until { try await watching.scene.hasRead("interrupt/pause/\(run)") }
            _ = try await watching.scene.ask(.pause, run)
            try await watching.kill("interruptd:w1")
            await pausings.told(1)
            #expect(pausings.all == [true])
        }
    }

    @Test func `that was asked before the run was watched is told with its first reading`() async throws {
        try await withWatching { watching in
            try await watching.isReady()
            let (order, _) = try await watching.start("j")
            _ = try await watching.scene.ask(.pause, order.run)
            let pausings = Pausings()
            watching.transport.watch(order, pausing: pausings.add) { _, _ in }
            await pausings.told(1)
            #expect(pausings.all == [true])
        }
    }
}
