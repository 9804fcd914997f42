import CHiredis
import NIOCore

// All unsafe code of the Redis client is in this file. It is unsafe because hiredis is C: its reader and its replies are
// pointers that somebody must free, and its formatter takes arrays of pointers. Nothing of it leaves the file: bytes go
// in, `RESPValue` comes out, copied before the reply is freed. Only what hiredis 0.14 has is used; 1.x has it as well.

/// Writes commands as a Redis server reads them.
enum RESPEncoder {
    /// The bytes of all commands, one after the other: a pipeline.
    static func encode(_ commands: [RedisCommand]) -> ByteBuffer {
        let size = commands.reduce(0) { $0 + $1.arguments.reduce(16) { $0 + $1.count + 16 } }
        var buffer = ByteBufferAllocator().buffer(capacity: size)
        for command in commands { encode(command, into: &buffer) }
        return buffer
    }

    private static func encode(_ command: RedisCommand, into buffer: inout ByteBuffer) {
        precondition(!command.arguments.isEmpty, "a command has at least a name")
        // The arguments lie in one piece of memory, so that one closure holds all of them in place.
        let lengths = command.arguments.map(\.count)
        var content: [UInt8] = []
        content.reserveCapacity(lengths.reduce(1, +))
        for argument in command.arguments { content += argument }
        content.append(0)
        content.withUnsafeBytes { content in
            var start = content.baseAddress!.assumingMemoryBound(to: CChar.self)
            var pointers: [UnsafePointer<CChar>?] = []
            pointers.reserveCapacity(lengths.count)
            for length in lengths {
                pointers.append(start)
                start += length
            }
            var text: UnsafeMutablePointer<CChar>?
            let size = Int(redisFormatCommandArgv(&text, Int32(lengths.count), &pointers, lengths))
            guard let text, size > 0 else { fatalError("out of memory while formatting a Redis command") }
            defer { redisFreeCommand(text) }
            buffer.writeBytes(UnsafeRawBufferPointer(start: text, count: size))
        }
    }
}

/// Why bytes are not replies of a Redis server. Final for the connection.
struct RESPParserError: Error, Equatable {
    /// What hiredis said.
    let problem: String
}

/// Reads replies from bytes that arrive in pieces of any size.
///
/// Not `Sendable`: it stays on the event loop of its connection.
final class RESPParser {
    /// A command with as many words as Linux takes has half of that.
    static let longestString = 4 * 1_024 * 1_024

    private let reader: UnsafeMutablePointer<redisReader>
    private var limit: StringLimit

    /// - Parameter longestString: how many bytes of a string are read; what it has more is left out.
    init(longestString: Int = longestString) {
        guard let reader = redisReaderCreate() else { fatalError("out of memory while creating a Redis reader") }
        self.reader = reader
        limit = StringLimit(limit: longestString)
    }

    deinit { redisReaderFree(reader) }

    /// Takes the next bytes. An error is reported by ``next()``.
    func feed(_ bytes: UnsafeRawBufferPointer) {
        limit.pass(bytes) { piece in
            switch piece {
            case .came(let range): read(UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .other(let bytes): bytes.withUnsafeBytes(read)
            }
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer) {
        // The result only repeats the error that redisReaderGetReply reports.
        _ = redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }

    /// The next complete reply, `nil` if more bytes are needed.
    func next() throws(RESPParserError) -> RESPValue? {
        var reply: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &reply) == REDIS_OK else { throw RESPParserError(problem: errorText) }
        guard let reply else { return nil }
        defer { freeReplyObject(reply) }
        return try Self.copy(reply.assumingMemoryBound(to: redisReply.self))
    }

    private var errorText: String {
        withUnsafeBytes(of: &reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func copy(_ reply: UnsafeMutablePointer<redisReply>) throws(RESPParserError) -> RESPValue {
        switch reply.pointee.type {
        case REDIS_REPLY_STATUS: return .status(String(decoding: bytes(of: reply), as: UTF8.self))
        case REDIS_REPLY_ERROR: return .error(String(decoding: bytes(of: reply), as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(reply.pointee.integer)
        case REDIS_REPLY_STRING: return .bulk(Array(bytes(of: reply)))
        case REDIS_REPLY_NIL: return .null
        case REDIS_REPLY_ARRAY:
            var elements: [RESPValue] = []
            elements.reserveCapacity(Int(reply.pointee.elements))
            for index in 0..<Int(reply.pointee.elements) {
                guard let element = reply.pointee.element[index] else { continue }
                elements.append(try copy(element))
            }
            return .array(elements)
        case let type:
            // hiredis 1.x knows the types of protocol version 3, which no server sends without being asked.
            throw RESPParserError(problem: "a reply of type \(type), which protocol version 2 does not have")
        }
    }

    private static func bytes(of reply: UnsafeMutablePointer<redisReply>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: reply.pointee.str, count: Int(reply.pointee.len))
    }
}
