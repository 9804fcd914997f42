/// Why bytes are no checkpoint that work can go on from.
struct CheckpointUnreadable: Error {
    /// As a clause about it.
    let why: String
}

/// What a checkpoint is in a file: a line with the checksum of all that follows; a line with the time, the lengths of reason
/// and message, `-` for none, and the name; then reason, message and the bytes, as they are.
extension Checkpoint {
    private static let signature = "interrupt-checkpoint"
    private static let version = 1

    /// The file of this checkpoint under a name.
    func encoded(as name: Name) -> [UInt8] {
        let (reason, message) = (Array(reason.rawValue.utf8), message.map { Array($0.utf8) })
        let lengths = "\(reason.count) \(message.map { "\($0.count)" } ?? "-")"
        let rest = Array("\(savedAt.milliseconds) \(lengths) \(name)\n".utf8) + reason + (message ?? []) + bytes
        return Array("\(Self.signature) \(Self.version) \(rest.checksum)\n".utf8) + rest
    }

    /// The checkpoint in a file that was saved under this name.
    init(encoded: [UInt8], as name: Name) throws(CheckpointUnreadable) {
        let damaged = CheckpointUnreadable(why: "it is damaged")
        let (first, rest) = Self.line(encoded[...])
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 2, words[0] == Self.signature, let version = Int(words[1]) else { throw damaged }
        guard version <= Self.version else {
            throw CheckpointUnreadable(why: "a newer version of this program wrote it")
        }
        guard first == "\(Self.signature) \(Self.version) \(rest.checksum)" else { throw damaged }
        let (head, body) = Self.line(rest)
        let fields = head.split(separator: " ")
        guard fields.count == 4, let savedAt = Int64(fields[0]), let reasonLength = Int(fields[1]),
            case let messageLength = Int(fields[2]) ?? 0, reasonLength >= 0, messageLength >= 0,
            body.count - reasonLength >= messageLength
        else { throw damaged }
        guard fields[3] == name.description else {
            throw CheckpointUnreadable(why: "it was saved as '\(String(fields[3]).escapedForDisplay(limit: 128))'")
        }
        let texts = body.dropFirst(reasonLength)
        self.init(
            bytes: Array(texts.dropFirst(messageLength)),
            reason: InterruptReason(rawValue: String(decoding: body.prefix(reasonLength), as: UTF8.self)),
            message: fields[2] == "-" ? nil : String(decoding: texts.prefix(messageLength), as: UTF8.self),
            savedAt: Timestamp(milliseconds: savedAt)
        )
    }

    private static func line(_ bytes: ArraySlice<UInt8>) -> (text: String, rest: ArraySlice<UInt8>) {
        let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
        return (String(decoding: bytes[..<end], as: UTF8.self), bytes[end...].dropFirst())
    }
}

extension Collection<UInt8> {
    /// FNV-1a with 64 bits: tells accidents, not attacks.
    fileprivate var checksum: String {
        String(reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }, radix: 16)
    }
}
