/// Reads an interrupt as the scripts write most of them: one flat object of plain ASCII, without spaces and escapes.
///
/// A published record is read on the way to the Unix signal, where `JSONDecoder` would take a third of the time. What
/// has any other form is `nil` here, and left to the decoder: this never decides that something is wrong.
struct SignalScanner {
    private let bytes: [UInt8]
    private var position = 0

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The message, or `nil` for the decoder to read.
    static func message(in bytes: [UInt8]) -> SignalMessage? {
        var scanner = SignalScanner(bytes)
        return scanner.object()
    }

    private mutating func object() -> SignalMessage? {
        var message = SignalMessage()
        guard take("{") else { return nil }
        repeat {
            guard let name = string(), take(":"), field(name, of: &message) else { return nil }
        } while take(",")
        return take("}") && position == bytes.count ? message : nil
    }

    private mutating func field(_ name: String, of message: inout SignalMessage) -> Bool {
        switch SignalMessage.CodingKeys(rawValue: name) {
        case .v: fill(&message.v, with: integer())
        case .requestID: fill(&message.requestID, with: string())
        case .target: fill(&message.target, with: string())
        case .job: fill(&message.job, with: string())
        case .run: fill(&message.run, with: string())
        case .stage: fill(&message.stage, with: integer())
        case .reason: fill(&message.reason, with: string())
        case .message: fill(&message.message, with: string())
        case .triggeredBy: fill(&message.triggeredBy, with: string())
        case .triggeredAtMilliseconds: fill(&message.triggeredAtMilliseconds, with: integer().map(Int64.init))
        case .savesCheckpoint: fill(&message.savesCheckpoint, with: boolean())
        case .graceMilliseconds: fill(&message.graceMilliseconds, with: integer().map(Int64.init))
        case .source: fill(&message.source, with: string())
        case .probe: fill(&message.probe, with: string())
        case .seen: fill(&message.seen, with: strings())
        case .signed: fill(&message.signed, with: strings())
        case nil: false
        }
    }

    /// A field that comes twice is the decoder's to judge.
    private func fill<Value>(_ field: inout Value?, with value: Value?) -> Bool {
        guard field == nil, let value else { return false }
        field = value
        return true
    }

    private mutating func string() -> String? {
        guard take("\"") else { return nil }
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            guard (0x20..<0x7F).contains(bytes[position]), bytes[position] != UInt8(ascii: "\\") else { return nil }
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        return take("\"") ? text : nil
    }

    /// Up to 15 digits, which every number type holds.
    private mutating func integer() -> Int? {
        var number = 0
        let start = position
        while position < bytes.count, case let digit = Int(bytes[position]) - 0x30, (0...9).contains(digit) {
            number = number &* 10 &+ digit
            position += 1
        }
        let length = position - start
        guard (1...15).contains(length), length == 1 || bytes[start] != UInt8(ascii: "0") else { return nil }
        return number
    }

    private mutating func boolean() -> Bool? {
        if take("true") { return true }
        return take("false") ? false : nil
    }

    private mutating func strings() -> TextList? {
        guard take("[") else { return nil }
        var texts: [String] = []
        repeat {
            guard let text = string() else { return nil }
            texts.append(text)
        } while take(",")
        return take("]") ? TextList(texts) : nil
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard bytes.count - position >= length,
            (0..<length).allSatisfy({ bytes[position + $0] == text.utf8Start[$0] })
        else { return false }
        position += length
        return true
    }
}
