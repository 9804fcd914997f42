import Foundation
import Glibc
import InterruptCore
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite struct `Output tail` {
    @Test func `hands out what waits in order and once`() {
        var tail = OutputTail()
        tail.append(Array("one".utf8), of: .output, at: 0)
        tail.append(Array("two".utf8), of: .error, at: 3)
        tail.append(Array("three".utf8), of: .error, at: 6)
        #expect(
            tail.take() == [
                OutputChunk(stream: .output, offset: 0, bytes: Array("one".utf8)),
                OutputChunk(stream: .error, offset: 3, bytes: Array("twothree".utf8)),
            ]
        )
        #expect(tail.take().isEmpty && tail.isEmpty && tail.waiting == 0)
    }

    @Test(arguments: [1, 10, 100, 4_096, 65_536, 1_000_000]) func `stays below its bound and keeps the newest`(
        pieceSize: Int
    ) throws {
        var tail = OutputTail(limit: 65_536)
        var offset: Int64 = 0
        for round in 0..<max(8, min(10_000, 4_000_000 / pieceSize)) {
            let stream: OutputChunk.Stream = round % 2 == 0 ? .output : .error
            tail.append([UInt8](repeating: UInt8(truncatingIfNeeded: round), count: pieceSize), of: stream, at: offset)
            offset += Int64(pieceSize)
            #expect(tail.waiting <= tail.limit)
        }
        let chunks = tail.take()
        let last = try #require(chunks.last)
        #expect(last.offset + Int64(last.bytes.count) == offset)
        #expect(chunks.count <= 1_024)
        for (chunk, next) in zip(chunks, chunks.dropFirst()) {
            #expect(chunk.offset + Int64(chunk.bytes.count) <= next.offset)
        }
    }

    @Test func `shows what was left out as a gap between offsets`() {
        var tail = OutputTail(limit: 256)
        for index in 0..<10 {
            tail.append([UInt8](repeating: UInt8(index), count: 64), of: .output, at: Int64(index) * 64)
        }
        let chunks = tail.take()
        #expect(chunks.first?.offset == Int64(384))
        #expect(chunks.flatMap(\.bytes).count == 256)
    }
}

@Suite struct `Output file` {
    @Test func `says once that a full disk keeps nothing more and goes on counting`() throws {
        var file = OutputFile(writingTo: try FileDescriptor.open("/dev/full", .writeOnly))
        let bytes = [UInt8](repeating: 1, count: 100)
        #expect(bytes.withUnsafeBytes { file.append($0) } == 0)
        #expect(bytes.withUnsafeBytes { file.append($0) } == 100)
        #expect(file.end == 200)
        #expect(
            file.failure?.text
                == "interruptd: output file: No space left on device; output from byte 0 on is not kept"
        )
    }

    @Test func `refuses a link that lies in its place`() throws {
        let directory = try TemporaryDirectory()
        let target = directory.path.appending("target")
        let link = directory.path.appending("link")
        #expect(symlink(target.string, link.string) == 0)
        var file = OutputFile(creating: link)
        append("x", to: &file)
        #expect(file.failure?.errno == .fileExists)
        #expect(access(target.string, F_OK) == -1)
    }

    private func append(_ text: String, to file: inout OutputFile) {
        _ = Array(text.utf8).withUnsafeBytes { file.append($0) }
    }

    private func text(_ path: FilePath) throws -> String {
        String(decoding: try #require(FileManager.default.contents(atPath: path.string)), as: UTF8.self)
    }

    @Test func `goes on in a new one when half of the limit is reached, and says what was before`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("r.log")
        let previous = directory.path.appending("r.log.1")
        var file = OutputFile(creating: path, limit: 20)
        let kept = file.reader()
        let reader = try #require(kept)
        func read(_ range: Range<Int64>) -> String? {
            reader.chunk(at: .init(stream: .output, range: range)).map { String(decoding: $0.bytes, as: UTF8.self) }
        }
        append("0123456789", to: &file)
        #expect(try text(path) == "0123456789" && file.keptFrom == 0)
        append("abcde", to: &file)
        #expect(try text(previous) == "0123456789")
        #expect(try text(path) == "interruptd: bytes 0 to 10 of the output are in r.log.1\nabcde")
        #expect(file.keptFrom == 0 && file.end == 15)
        #expect(read(8..<12) == "89ab", "across both")
        append("fghij", to: &file)
        append("ABC", to: &file)
        #expect(try text(previous).hasSuffix("abcdefghij"))
        let header = "interruptd: bytes 10 to 20 of the output are in r.log.1, those before are not kept\n"
        #expect(try text(path) == header + "ABC")
        #expect(file.keptFrom == 10 && file.failure == nil)
        #expect(read(8..<12) == nil && read(10..<23) == "abcdefghijABC" && read(20..<24) == nil)
    }

    @Test func `keeps nothing more where it cannot go on, and says so`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("r.log")
        var file = OutputFile(creating: path, limit: 20)
        append("0123456789", to: &file)
        #expect(unlink(path.string) == 0)
        append("abc", to: &file)
        #expect(file.failure == OutputFile.Failure(errno: .noSuchFileOrDirectory, offset: 10) && file.end == 13)
    }
}

@Suite struct `Output retention` {
    private let now: Int64 = 1_000_000

    private func make(_ name: String, age: Int, size: Int, in directory: TemporaryDirectory) {
        let path = directory.path.appending(name).string
        let file = creat(path, 0o600)
        ftruncate(file, size)
        var times = [timespec(tv_sec: Int(now) - age, tv_nsec: 0), timespec(tv_sec: Int(now) - age, tv_nsec: 0)]
        futimens(file, &times)
        close(file)
    }

    private func names(in directory: TemporaryDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path.string).sorted()
    }

    @Test func `removes what is too old, then the oldest until the rest is small enough`() throws {
        let directory = try TemporaryDirectory()
        for (name, age) in [("a.log", 101), ("b.log", 90), ("b.log.1", 95), ("c.log", 10), ("d.log", 5)] {
            make(name, age: age, size: 1_000, in: directory)
        }
        make("other.txt", age: 1_000, size: 5_000, in: directory)
        symlink("other.txt", directory.path.appending("link.log").string)
        let removed = OutputRetention(age: .seconds(100), size: 2_500).apply(to: directory.path, now: now)
        #expect(
            removed
                == {
                    var removed = OutputRetention.Removed(); (removed.count, removed.size) = (3, 3_000); return removed
                }()
        )
        #expect(try names(in: directory) == ["c.log", "d.log", "link.log", "other.txt"])
        #expect(OutputRetention(age: .seconds(100), size: 2_500).apply(to: directory.path, now: now).count == 0)
        #expect(OutputRetention(age: .seconds(100), size: 0).apply(to: directory.path, now: now).count == 2)
    }

    @Test func `leaves alone what is being written, both files of it, and what is not there`() throws {
        let directory = try TemporaryDirectory()
        let nothing = OutputRetention(age: .zero, size: 0)
        do {
            var file = OutputFile(creating: directory.path.appending("live.log"), limit: 20)
            let bytes = [UInt8](repeating: 1, count: 10)
            for _ in 0..<3 { _ = bytes.withUnsafeBytes { file.append($0) } }
            #expect(nothing.apply(to: directory.path, now: .max).count == 0)
            #expect(try names(in: directory) == ["live.log", "live.log.1"])
            #expect(file.end == 30)
        }
        #expect(nothing.apply(to: directory.path, now: .max).count == 2, "it has ended")
        #expect(nothing.apply(to: directory.path.appending("none"), now: .max).count == 0)
    }
}
