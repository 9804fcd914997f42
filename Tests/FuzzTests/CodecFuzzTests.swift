import InterruptTesting
import NIOCore
import Testing

@testable import InterruptRedis

/// What comes from a server, or from what is none.
@Suite(.timeLimit(.minutes(10))) struct `Bytes from a server` {
    private static let replies = [
        "+OK\r\n", "-ERR unknown command\r\n", ":42\r\n", "$5\r\nhello\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n{}\r\n", "*2\r\n:1\r\n*2\r\n+a\r\n$0\r\n\r\n", "$3\r\na\r\nb\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n", "%1\r\n+a\r\n:1\r\n", ">2\r\n+a\r\n:1\r\n", "#t\r\n", ",1.5\r\n",
    ]

    @Test func `are replies, or end the connection with a line`() {
        var fuzzing = Fuzzing(Self.replies)
        fuzzing.run("replies") { input, numbers in
            let parser = RESPParser()
            var rest = input[...]
            var values: [RESPValue] = []
            do throws(RESPParserError) {
                while !rest.isEmpty {
                    let piece = rest.prefix(1 + numbers.below(rest.count))
                    rest = rest.dropFirst(piece.count)
                    piece.withUnsafeBytes { parser.feed($0) }
                    while let value = try parser.next() { values.append(value) }
                }
                for case .error(let text) in values {
                    let error = RedisError.fromReply(text)
                    guard case .refused = Fuzzing.Verdict.refused("\(error)") else { return .refused("\(error)") }
                }
                return values.isEmpty ? .refused : .accepted
            } catch {
                return .refused(error.problem)
            }
        }
    }

    @Test func `are the values that were written, however they come in`() {
        var fuzzing = Fuzzing(["seed"])
        fuzzing.run("values") { _, numbers in
            let values = (0...numbers.below(3)).map { _ in Self.value(&numbers, depth: 0) }
            var bytes: [UInt8] = []
            for value in values { Self.write(value, to: &bytes) }
            let parser = RESPParser()
            var read: [RESPValue] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + numbers.below(9))
                rest = rest.dropFirst(piece.count)
                piece.withUnsafeBytes { parser.feed($0) }
                while let value = try? parser.next() { read.append(value) }
            }
            return .accepted(if: read == values, "\(values) is read as \(read)")
        }
    }

    @Test func `are commands that a server reads as they are meant`() {
        var fuzzing = Fuzzing(["SET", "interrupt:a", "{\"stage\":2}", "a\r\nb", "$5\r\n"])
        fuzzing.run("a command") { input, numbers in
            let arguments = [Array("ECHO".utf8), input] + (0..<numbers.below(3)).map { _ in Array(input.prefix(3)) }
            let bytes = Array(RESPEncoder.encode([RedisCommand(arguments: arguments)]).readableBytesView)
            let parser = RESPParser()
            bytes.withUnsafeBytes { parser.feed($0) }
            let read = try? parser.next()
            return .accepted(if: read == .array(arguments.map { .bulk($0) }), "is read as something else")
        }
    }

    private static func value(_ numbers: inout SeededRandom, depth: Int) -> RESPValue {
        // hiredis 0.14 reads seven levels.
        switch numbers.below(depth < 5 ? 7 : 5) {
        case 0: .status(Self.word(&numbers))
        case 1: .error("ERR " + Self.word(&numbers))
        case 2: .integer(Int64(bitPattern: numbers.next()))
        case 3: .bulk((0..<numbers.below(20)).map { _ in UInt8(numbers.below(256)) })
        case 4: .null
        default: .array((0..<numbers.below(4)).map { _ in value(&numbers, depth: depth + 1) })
        }
    }

    private static func word(_ numbers: inout SeededRandom) -> String {
        String(decoding: (0..<numbers.below(12)).map { _ in UInt8(0x20 + numbers.below(0x5F)) }, as: UTF8.self)
    }

    private static func write(_ value: RESPValue, to bytes: inout [UInt8]) {
        switch value {
        case .status(let text): bytes += "+\(text)\r\n".utf8
        case .error(let text): bytes += "-\(text)\r\n".utf8
        case .integer(let number): bytes += ":\(number)\r\n".utf8
        case .bulk(let content): bytes += Array("$\(content.count)\r\n".utf8) + content + Array("\r\n".utf8)
        case .null: bytes += "$-1\r\n".utf8
        case .array(let elements):
            bytes += "*\(elements.count)\r\n".utf8
            for element in elements { write(element, to: &bytes) }
        }
    }
}
