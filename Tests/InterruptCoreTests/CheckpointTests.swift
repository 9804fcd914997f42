import Foundation
import Glibc
import Synchronization
import Testing

@testable import InterruptCore

/// A directory that is gone afterwards.
private func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "checkpoints-\(RunID.random())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: directory) }  // what is left of a test hurts nobody
    return try await body(directory.path)
}

@Suite(.timeLimit(.minutes(1))) struct `Checkpoints on disk` {
    private let name = try! Name("resize")  // a constant
    private let checkpoint = Checkpoint(
        bytes: [0, 10, 255] + Array("state\n\nof work".utf8),
        reason: InterruptReason(rawValue: "odd"),
        message: "two\nlines \\ é",
        savedAt: Timestamp(milliseconds: 1_763_719_060_123)
    )

    @Test func `what is saved is offered, in place of an earlier one, until it is discarded`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            #expect(try store.offer(name) == nil)
            try store.save(Checkpoint(bytes: [1], reason: .timeout), as: name)
            try store.save(checkpoint, as: name)
            let offered = try #require(try store.offer(name))
            #expect(offered.bytes == checkpoint.bytes && offered.reason == checkpoint.reason)
            #expect(offered.savedAt == checkpoint.savedAt && offered.message == checkpoint.message)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["resize.checkpoint"])
            let mode = try FileManager.default.attributesOfItem(atPath: "\(directory)/resize.checkpoint")
            #expect(mode[.posixPermissions] as? Int == 0o600)
            try store.discard(name)
            try store.discard(name)
            #expect(try store.offer(name) == nil)
        }
    }

    @Test func `one that is torn or damaged anywhere is never offered, and it is said why`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            let file = URL(filePath: "\(directory)/resize.checkpoint")
            try store.save(checkpoint, as: name)
            let whole = try Data(contentsOf: file)
            for length in 0..<whole.count {
                try whole.prefix(length).write(to: file)
                #expect(throws: unusable(in: directory, "it is damaged"), "the first \(length) bytes") {
                    try store.offer(name)
                }
            }
            for index in whole.indices {
                var damaged = whole
                damaged[index] ^= 1
                try damaged.write(to: file)
                #expect(throws: CheckpointError.self, "byte \(index)") { try store.offer(name) }
            }
            try whole.write(to: file)
            #expect(try store.offer(name) != nil)
            let newer = Data("interrupt-checkpoint 2 ".utf8) + whole
            try newer.write(to: file)
            #expect(throws: unusable(in: directory, "a newer version of this program wrote it")) {
                try store.offer(name)
            }
        }
    }

    @Test func `what another name saved is not offered, and discarding it lets the work start afresh`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            try store.save(checkpoint, as: try Name("other"))
            try FileManager.default.copyItem(
                atPath: "\(directory)/other.checkpoint",
                toPath: "\(directory)/resize.checkpoint"
            )
            let error = unusable(in: directory, "it was saved as 'other'")
            #expect(throws: error) { try store.offer(name) }
            #expect(error.description.hasSuffix("it was saved as 'other'; delete it to start afresh"))
            await #expect(throws: error) {
                try await withInterruptScope { _ in try await CheckpointedSteps(in: store, as: name).run("first") {} }
            }
            try store.discard(name)
            #expect(try store.offer(name) == nil)
        }
    }

    @Test func `what is no file of this user alone is not read`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            let path = "\(directory)/resize.checkpoint"
            try #require(mkfifo(path, 0o600) == 0)
            #expect(throws: unusable(in: directory, "it is no regular file")) { try store.offer(name) }
            // What is saved takes its place.
            try store.save(checkpoint, as: name)
            #expect(try store.offer(name) != nil)
            try #require(chmod(path, 0o620) == 0)
            #expect(throws: unusable(in: directory, "others may write it")) { try store.offer(name) }
            try #require(chmod(path, 0o600) == 0)
            // As large as ten gigabytes, without a byte of it.
            try #require(truncate(path, 10_000_000_000) == 0)
            #expect(
                throws: unusable(in: directory, "it has 10000000000 bytes, more than a checkpoint may have")
            ) { try store.offer(name) }
            try #require(truncate(path, 0) == 0)
            try #require(chown(path, 65_534, 65_534) == 0 || geteuid() != 0)
            if geteuid() == 0 {
                #expect(throws: unusable(in: directory, "it belongs to user 65534, not to 0")) { try store.offer(name) }
            }
        }
    }

    @Test func `what is too large to be offered is not saved`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            let bytes = [UInt8](repeating: 0, count: CheckpointStore.maximumSize + 1)
            #expect(throws: CheckpointError.system(EFBIG, doing: "save", path: "\(directory)/resize.checkpoint")) {
                try store.save(Checkpoint(bytes: bytes, reason: .timeout), as: name)
            }
            let files = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(files.isEmpty)
        }
    }

    private func unusable(in directory: String, _ why: String) -> CheckpointError {
        .unusable(path: "\(directory)/resize.checkpoint", why: why)
    }

    @Test func `of many that save at once the last one stays whole, and nothing is left over`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        let bytes = [UInt8](repeating: UInt8(number), count: 20_000)
                        try store.save(Checkpoint(bytes: bytes, reason: .custom), as: name)
                    }
                }
            }
            let bytes = try #require(try store.offer(name)).bytes
            #expect(bytes.count == 20_000 && Set(bytes).count == 1)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 1)
        }
    }

    @Test func `a link in its place is not followed`() async throws {
        try await withDirectory { directory in
            let store = CheckpointStore(directory: directory)
            try store.save(checkpoint, as: try Name("other"))
            let link = "\(directory)/resize.checkpoint"
            try FileManager.default.createSymbolicLink(
                atPath: link,
                withDestinationPath: "\(directory)/other.checkpoint"
            )
            #expect(throws: CheckpointError.self) { try store.offer(name) }
        }
    }

    @Test func `what cannot be saved is said with the place and why, and leaves nothing behind`() async throws {
        let nowhere = CheckpointStore(directory: "/nowhere")
        let error = #expect(throws: CheckpointError.self) { try nowhere.save(checkpoint, as: name) }
        #expect(error?.description.hasPrefix("cannot create '/nowhere/resize.") == true)
        #expect(error?.description.hasSuffix("': No such file or directory") == true)
        try await withDirectory { directory in
            // Something that a file cannot take the place of.
            try FileManager.default.createDirectory(
                atPath: "\(directory)/resize.checkpoint/full",
                withIntermediateDirectories: true
            )
            let store = CheckpointStore(directory: directory)
            #expect(throws: CheckpointError.self) { try store.save(checkpoint, as: name) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["resize.checkpoint"])
        }
    }
}

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
            scope.savesCheckpoint(in: store, as: name) { Array("state".utf8) }
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
