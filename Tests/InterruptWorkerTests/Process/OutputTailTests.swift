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
        let file = OutputFile(creating: link)
        #expect(file.failure?.errno == .fileExists)
        #expect(access(target.string, F_OK) == -1)
    }
}
