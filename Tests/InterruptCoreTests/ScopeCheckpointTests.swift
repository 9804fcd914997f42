import Foundation
import Glibc
import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Checkpoint of a scope` {
    private let name = try! Name("resize")  // a constant

    /// The last event of a scope, and what it saved.
    private func last(
        in directory: String,
        _ body: (InterruptScope) async throws -> Void
    ) async throws -> (ScopeEvent?, Checkpoint?) {
        let store = CheckpointStore(directory: directory)
        var events: AsyncStream<ScopeEvent>?
        try? await withInterruptScope { scope in  // only the scope's own view counts here
            events = scope.events
            scope.savesCheckpoint(in: store, as: name, limit: .seconds(50)) { Array("state".utf8) }
            try await body(scope)
        }
        var last: ScopeEvent?
        if let events { for await event in events { last = event } }
        return (last, try? store.offer(name))  // a directory that is not there has none
    }

    private func outcome(_ event: ScopeEvent?) -> CheckpointOutcome? {
        if case .interrupted(let event) = event { event.checkpoint } else { nil }
    }

    @Test func `is saved when the work is interrupted, and the event says so`() async throws {
        try await withDirectory { directory in
            for stage in [InterruptStage.terminate, .kill] {
                let (event, checkpoint) = try await last(in: directory) { scope in
                    scope.interrupt(reason: .timeout, message: "late", stage: stage)
                    try scope.checkpoint()
                }
                #expect(outcome(event) == .saved)
                #expect(checkpoint?.bytes == Array("state".utf8))
                #expect(checkpoint?.reason == .timeout && checkpoint?.message == "late")
            }
        }
    }

    @Test func `is saved while the work still runs, before anything is forced`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            let (event, _) = try await last(in: directory) { scope in
                scope.interrupt()
                while try store.offer(name) == nil { await Task.yield() }
                try scope.checkpoint()
            }
            #expect(outcome(event) == .saved)
        }
    }

    @Test func `is skipped when the interrupt says so, and failed when it is not on disk`() async throws {
        try await withDirectory { directory in
            let (event, checkpoint) = try await last(in: directory) { scope in
                scope.interrupt(savesCheckpoint: false)
                try scope.checkpoint()
            }
            #expect(outcome(event) == .skipped && checkpoint == nil)
        }
        let (event, _) = try await last(in: "/nowhere") { scope in
            scope.interrupt()
            try scope.checkpoint()
        }
        guard case .failed(let why) = outcome(event) else {
            Issue.record("\(String(describing: event))")
            return
        }
        #expect(why.contains("/nowhere/resize"))
    }

    @Test func `is saved when a drain cuts the work short`() async throws {
        try await withDirectory { directory in
            let (event, checkpoint) = try await last(in: directory) { scope in
                _ = try await ParallelRunner(workers: 1).run([0, 1]) { item in
                    if item == 0 { scope.interrupt(stage: .drain) }
                }
            }
            #expect(outcome(event) == .saved && checkpoint != nil)
        }
    }

    @Test func `is saved when the interrupt surfaces as a cancellation that the work swallows`() async throws {
        try await withDirectory { directory in
            let (event, checkpoint) = try await last(in: directory) { scope in
                let ended = FirstAnswer<Void>()
                scope.startTask("sleeps") {
                    defer { ended.give(()) }
                    try await Task.sleep(for: .longestAccepted, clock: .continuous)
                }
                scope.interrupt()
                await ended.wait()
                while !scope.state.withLock({ $0.tasks.isEmpty }) { await Task.yield() }
            }
            #expect(outcome(event) == .saved && checkpoint != nil)
        }
    }

    @Test func `is deleted when the work completes, also drained, and kept when it fails`() async throws {
        struct Broken: Error {}
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            try store.save(Checkpoint(bytes: [1], reason: .custom), as: name)
            let (_, kept) = try await last(in: directory) { _ in throw Broken() }
            #expect(kept?.bytes == [1])
            let (event, gone) = try await last(in: directory) { $0.interrupt(stage: .drain) }
            #expect(gone == nil && event == .status(.completed))
        }
    }

    @Test func `is kept when the work took notice and returned what it had`() async throws {
        try await withDirectory { directory in
            let (event, checkpoint) = try await last(in: directory) { scope in
                scope.interrupt()
                await withInterruptScope { inner in
                    _ = #expect(throws: InterruptedError.self) { try inner.checkpoint() }
                }
            }
            #expect(outcome(event) == .saved && checkpoint != nil)
        }
    }

    @Test func `is saved in an item of many, too`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            _ = try await withInterruptScope { scope in
                try await ParallelRunner(workers: 1).run([0]) { _ in
                    let steps = try CheckpointedSteps(in: store, as: name)
                    try await steps.run("first") { scope.interrupt() }
                    try await steps.run("second") { Issue.record("ran") }
                }
            }
            #expect(try store.offer(name)?.bytes == Array("first".utf8))
        }
    }

    @Test func `what hangs while it is saved does not hold up the end for good`() async throws {
        let mayGoOn = Atomic<Bool>(false)
        try await withDirectory { directory in
            var events: AsyncStream<ScopeEvent>?
            try? await withInterruptScope { scope in  // only the scope's own view counts here
                events = scope.events
                let store = CheckpointStore(directory: directory)
                scope.savesCheckpoint(in: store, as: name, limit: .milliseconds(20)) {
                    // Blocks its thread, as a disk that does not answer.
                    while !mayGoOn.load(ordering: .relaxed) { usleep(1_000) }
                    return []
                }
                scope.interrupt()
                try scope.checkpoint()
            }
            mayGoOn.store(true, ordering: .relaxed)
            var last: ScopeEvent?
            if let events { for await event in events { last = event } }
            #expect(outcome(last) == .failed("not on disk within 20 ms"))
        }
    }

    @Test func `finished steps are not done again by the next run`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            let done = Mutex<[String]>([])
            func work(interruptedAfter last: String?) async throws {
                try await withInterruptScope { scope in
                    let steps = try CheckpointedSteps(in: store, as: name)
                    for step in ["download", "convert", "upload"] {
                        try await steps.run(step) {
                            done.withLock { $0.append(step) }
                            if step == last { scope.interrupt() }
                        }
                    }
                }
            }
            await #expect(throws: InterruptedError.self) { try await work(interruptedAfter: "download") }
            await #expect(throws: InterruptedError.self) { try await work(interruptedAfter: "convert") }
            try await work(interruptedAfter: nil)
            #expect(done.withLock { $0 } == ["download", "convert", "upload"])
            #expect(try store.offer(name) == nil)
        }
    }
}

@Suite struct `Timestamps as text` {
    @Test func `agree with Foundation from the year 1 to 9999`() {
        var generator = SystemRandomNumberGenerator()
        let style = Date.ISO8601FormatStyle()
        for _ in 0..<20_000 {
            let seconds = Int64.random(in: -62_135_596_800...253_402_300_799, using: &generator)
            let date = Date(timeIntervalSince1970: Double(seconds))
            // Foundation changes to the Julian calendar before 1582.
            if seconds < -12_219_292_800 { continue }
            let text = Timestamp(milliseconds: seconds * 1_000 + 7).rfc3339
            #expect(text == date.formatted(style).dropLast() + ".007Z")
        }
        #expect(Timestamp(milliseconds: .max).rfc3339 == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: .min).rfc3339 == "0001-01-01T00:00:00.000Z")
        #expect(Timestamp(milliseconds: -1).rfc3339 == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: 951_782_400_000).rfc3339 == "2000-02-29T00:00:00.000Z")
    }
}
