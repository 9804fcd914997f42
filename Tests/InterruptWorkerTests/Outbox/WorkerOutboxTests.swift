import Foundation
import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `While the transport is out of reach, a worker` {
    private let state: TemporaryDirectory
    private let log = SeenLog()

    init() throws { state = try TemporaryDirectory() }

    private var outbox: FilePath { state.path.appending("outbox") }

    /// A worker with an outbox; with a transport, the next instance of another one's worker.
    private func worker(after other: WorkerUnderTest? = nil) async throws -> WorkerUnderTest {
        // Whoever was killed has not said goodbye; that its name is free is the business of other tests.
        await other?.transport.base.leave()
        return try WorkerUnderTest(logger: log.logger, transport: other?.transport, outbox: outbox)
    }

    private func file(of run: RunID) -> FilePath { outbox.appending("w").appending("\(run).json") }

    private func outcome(of run: RunID) -> WaitingOutcome? {
        guard let data = FileManager.default.contents(atPath: file(of: run).string) else { return nil }
        return try? WaitingOutcome(text: Array(data))
    }

    private var files: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: outbox.appending("w").string)) ?? []
    }

    private func setAway(_ isAway: Bool, _ test: WorkerUnderTest) {
        test.transport.faults.withLock { $0.isAway = isAway }
    }

    /// Two runs have started, then the transport goes; one run is interrupted and ends, the other ends by itself.
    private func withTwoEnded(
        _ test: WorkerUnderTest,
        _ body: (_ interrupted: RunID, _ failed: RunID, InterruptSignal) async throws -> Void
    ) async throws {
        let go = test.directory.path.appending("go").string
        try #require(mkfifo(go, 0o600) == 0)
        let interrupted = try test.submit("sleep", "1000")
        let failed = try test.submit("sh", "-c", ": < \(go); exit 3")
        await test.events.waitForStarts(2)
        try await eventually("both are on record") {
            try [interrupted, failed].allSatisfy { try test.record($0).process != nil }
        }
        setAway(true, test)
        let signal = InterruptSignal(message: "while it is away")
        test.transport.base.interrupt(interrupted, signal)
        let writer = open(go, O_RDWR)
        defer { close(writer) }
        await test.events.waitForEnds(2)
        try await body(interrupted, failed, signal)
    }

    @Test func `that is not disturbed writes nothing`() async throws {
        let test = try await worker()
        let run = try test.submit("true")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).state == .completed)
        #expect(access(outbox.string, F_OK) != 0)
    }

    @Test func `keeps receipts and ends in files until they are on record, each once`() async throws {
        let test = try await worker()
        try await test.run {
            try await withTwoEnded(test) { interrupted, failed, signal in
                try await eventually("both ends are in files") {
                    outcome(of: interrupted)?.ending != nil && outcome(of: failed)?.ending != nil
                }
                let kept = try #require(outcome(of: interrupted))
                #expect(kept.receipts.map(\.signal.id) == [signal.id] && kept.receipts.map(\.way) == [.push])
                #expect(kept.receipts.first?.signal.message == signal.message)
                #expect(kept.ending?.bare == RunEnding(state: .interrupted, termSignal: SIGTERM))
                #expect(kept.instance == test.worker.configuration.description.instance)
                #expect(outcome(of: failed)?.ending?.bare == RunEnding(state: .failed, exitCode: 3))
                #expect(try test.record(interrupted).state == .running && test.record(failed).state == .running)
                setAway(false, test)
                try await eventually("both are on record") {
                    try test.record(interrupted).state.isEnd && test.record(failed).state.isEnd
                }
                try await eventually("the files are gone") { files.isEmpty }
                #expect(test.transport.writes.filter { $0 == .receipt(interrupted, signal.id) }.count == 1)
                for run in [interrupted, failed] {
                    #expect(test.transport.writes.count { if case .end(run, _) = $0 { true } else { false } } == 1)
                }
            }
        }
        #expect(log.lines.isEmpty)
    }

    @Test func `that is to leave leaves at once, and its next instance records what really happened`() async throws {
        let test = try await worker()
        var runs: [RunID] = []
        let running = Task { try await test.worker.run() }
        try await withTwoEnded(test) { interrupted, failed, signal in
            test.worker.interrupt(.kill, reason: .systemShutdown)
            try await running.value  // never, if it waited for the transport
            #expect(try test.record(interrupted).state == .running && test.record(failed).state == .running)
            runs = [interrupted, failed]
        }
        #expect(files.count == 2)
        #expect(log.lines.count == 1 && log.lines[0].hasPrefix("outcomes are not recorded yet"), "\(log.lines)")
        setAway(false, test)
        let next = try await worker(after: test)
        try await next.run { await next.events.waitForEntry() }
        #expect(try test.record(runs[0]).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(try test.record(runs[0]).receipts.map(\.way) == [.push])
        #expect(try test.record(runs[1]).ending?.bare == RunEnding(state: .failed, exitCode: 3))
        #expect(!runs.contains { test.transport.writes.contains(.lost($0)) })
        #expect(files.isEmpty)
    }

    @Test func `calls nothing lost of which it could not send the outcome in time`() async throws {
        let test = try await worker()
        let running = Task { try await test.worker.run() }
        var run: RunID?
        try await withTwoEnded(test) { interrupted, _, _ in
            run = interrupted
            test.worker.interrupt(.kill, reason: .systemShutdown)
            try await running.value
        }
        setAway(false, test)
        test.transport.faults.withLock { $0.unavailable = ["record": .max] }
        let second = try await worker(after: test)
        let again = Task { try await second.worker.run() }
        await second.events.waitForEntry()
        second.worker.interrupt(.kill, reason: .systemShutdown)
        try await again.value
        let interrupted = try #require(run)
        #expect(files.count == 2 && !test.transport.writes.contains(.lost(interrupted)))
        test.transport.faults.withLock { $0.unavailable = ["record": 3] }
        let third = try await worker(after: test)
        try await third.run { await third.events.waitForEntry() }
        #expect(try test.record(interrupted).state == .interrupted)
        #expect(files.isEmpty)
    }

    @Test func `of which the last word cannot be read loses the run, and leaves the file`() async throws {
        let test = try await worker()
        let running = Task { try await test.worker.run() }
        var run: RunID?
        try await withTwoEnded(test) { interrupted, _, _ in
            run = interrupted
            test.worker.interrupt(.kill, reason: .systemShutdown)
            try await running.value
        }
        let broken = try #require(run)
        try "garbage".write(toFile: file(of: broken).string, atomically: false, encoding: .utf8)
        setAway(false, test)
        let next = try await worker(after: test)
        try await next.run { await next.events.waitForEntry() }
        #expect(try test.record(broken).state == .lost)
        #expect(files == ["\(broken).json"])
    }

    @Test func `keeps what it finds of a run that nobody knows for a week`() async throws {
        let old = WaitingOutcome(run: .random(), instance: "i", ending: RunEnding(state: .completed))
        let new = WaitingOutcome(run: .random(), instance: "i", ending: RunEnding(state: .completed))
        let earlier = Outbox(in: outbox.appending("w"), logger: log.logger)
        let other = Outbox(in: outbox.appending("other"), logger: log.logger)
        for outcome in [old, new] { earlier.keep(outcome) }
        other.keep(old)
        _ = await (earlier.settled(), other.settled())
        let longAgo = timeval(tv_sec: time(nil) - 8 * 86_400, tv_usec: 0)
        try #require(utimes(file(of: old.run).string, [longAgo, longAgo]) == 0)
        let test = try await worker()
        try await test.run { await test.events.waitForEntry() }
        #expect(files == ["\(new.run).json"])
        #expect(access(outbox.appending("other").appending("\(old.run).json").string, F_OK) == 0)
    }

    @Test func `keeps an end that is refused for its next instance`() async throws {
        let test = try await worker()
        test.transport.faults.withLock { $0.refused = ["end": 1] }
        let run = try test.submit("sh", "-c", "exit 3")
        try await test.run { await test.events.waitForEnds(1) }
        #expect(try test.record(run).state == .running)
        #expect(files == ["\(run).json"])
        let next = try await worker(after: test)
        try await next.run { await next.events.waitForEntry() }
        #expect(try test.record(run).ending?.bare == RunEnding(state: .failed, exitCode: 3))
        #expect(files.isEmpty)
    }

    @Test func `that cannot write files goes on in memory, and says once what is lost with it`() async throws {
        _ = try state.write("", to: "outbox")
        let test = try await worker()
        try await test.run {
            try await withTwoEnded(test) { interrupted, failed, _ in
                try await eventually("that is said") { !log.lines.isEmpty }
                setAway(false, test)
                try await eventually("both are on record") {
                    try test.record(interrupted).state == .interrupted && test.record(failed).state == .failed
                }
            }
        }
        #expect(log.lines.map { $0.hasPrefix("the outbox cannot be used") } == [true])
        let next = try await worker(after: test)
        let running = Task { try await next.worker.run() }
        try await withTwoEnded(next) { _, _, _ in
            next.worker.interrupt(.kill, reason: .systemShutdown)
            try await running.value
        }
        #expect(log.lines.last?.hasPrefix("outcomes are lost") == true, "\(log.lines)")
        #expect(log.lines.count { $0.hasPrefix("outcomes are lost") } == 1)
    }
}
