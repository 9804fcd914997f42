import Foundation
import Glibc
import Testing

@testable import InterruptCore

/// A directory that is gone afterwards.
func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
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
