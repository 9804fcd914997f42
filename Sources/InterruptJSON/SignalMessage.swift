import FoundationEssentials
package import InterruptCore

/// An interrupt as JSON: the record in force, a published message, a flag. Every field but one is optional, so that
/// `{"target":"JOB"}` is enough on a channel and `{}` in a flag; unknown fields are passed over.
package struct SignalMessage: Codable, Hashable, Sendable {
    package var v: Int?
    package var requestID: String?
    package var target: String?
    package var job: String?
    package var run: String?
    package var stage: Int?
    package var reason: String?
    package var message: String?
    package var triggeredBy: String?
    package var triggeredAtMilliseconds: Int64?
    package var savesCheckpoint: Bool?
    package var graceMilliseconds: Int64?
    package var source: String?
    package var probe: String?
    /// The ids of the newest requests that a record is made of.
    package var seen: TextList?
    /// The signed requests in it. A worker with a key looks at nothing else.
    package var signed: TextList?

    /// A message that says nothing.
    package init() {}

    package enum CodingKeys: String, CodingKey {
        case v, target, job, run, stage, reason, message, source, probe, seen, signed
        case requestID = "request_id"
        case triggeredBy = "triggered_by"
        case triggeredAtMilliseconds = "triggered_at_ms"
        case savesCheckpoint = "save_checkpoint"
        case graceMilliseconds = "grace_ms"
    }

    /// The contract version: what is newer is refused.
    package static let version = 1
    /// The largest flag that is read at all.
    package static let maximumFlagSize = 64 * 1024
    /// The largest message or record: a flag of the largest size fits in with every character escaped.
    package static let maximumSize = 1024 * 1024
    /// The longest request id: the record keeps many of them.
    package static let maximumRequestIDLength = 128

    /// Reads JSON from elsewhere.
    ///
    /// - Throws: ``MalformedSignal`` with what is wrong, in words without any of the text itself.
    package init(json bytes: [UInt8], limit: Int = maximumSize) throws(MalformedSignal) {
        guard bytes.count <= limit else {
            throw MalformedSignal(reason: "it has \(bytes.count) bytes, at most \(limit) are read")
        }
        if let message = SignalScanner.message(in: bytes) {
            self = message
        } else {
            try self.init(decoding: bytes)
        }
        if let v, v > Self.version {
            throw MalformedSignal(reason: "it has version \(v), this program reads \(Self.version)")
        }
        if let stage, InterruptStage(rawValue: stage) == nil {
            throw MalformedSignal(reason: "stage \(stage) is not 1, 2 or 3")
        }
        if let requestID, requestID.utf8.count > Self.maximumRequestIDLength {
            throw MalformedSignal(reason: "request_id is longer than \(Self.maximumRequestIDLength) bytes")
        }
        if let graceMilliseconds, graceMilliseconds < 0 {
            throw MalformedSignal(reason: "grace_ms is negative")
        }
    }

    private init(decoding bytes: [UInt8]) throws(MalformedSignal) {
        do {
            self = try JSONDecoder().decode(SignalMessage.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw MalformedSignal(reason: error.summary)
        } catch {
            throw MalformedSignal(reason: "it is not JSON")
        }
    }

    /// The message as JSON, the form that ``init(json:)`` reads.
    package init(flag signal: InterruptSignal) {
        requestID = signal.id.rawValue
        stage = signal.stage.rawValue
        reason = signal.reason.rawValue
        message = signal.message
        triggeredBy = signal.triggeredBy
        savesCheckpoint = signal.savesCheckpoint
        graceMilliseconds = signal.gracePeriod?.milliseconds
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings, numbers and booleans always encode.
        return (try? encoder.encode(self)).map(Array.init) ?? []
    }

    /// The message with the defaults of a plain request for whatever it leaves out.
    package func signal(source fallback: InterruptSignal.Source, newID: @autoclosure () -> RequestID) -> InterruptSignal
    {
        InterruptSignal(
            id: requestID.flatMap { $0.isEmpty ? nil : RequestID(rawValue: $0) } ?? newID(),
            stage: stage.flatMap(InterruptStage.init) ?? .terminate,
            reason: reason.map(InterruptReason.init) ?? .userCancelled,
            message: message,
            triggeredBy: triggeredBy,
            triggeredAt: triggeredAtMilliseconds.map(Timestamp.init) ?? .now,
            savesCheckpoint: savesCheckpoint ?? true,
            gracePeriod: graceMilliseconds.map { .milliseconds($0) },
            source: source.flatMap(InterruptSignal.Source.init) ?? fallback,
            target: target.flatMap { try? InterruptTarget($0) }  // a target that cannot be read names nothing
        )
    }
}

/// Texts in a list. Anything else is an empty list: what is no text here is no reason to pass over an interrupt.
package struct TextList: Codable, Hashable, Sendable {
    package var texts: [String]

    package init(_ texts: [String]) { self.texts = texts }

    package init(from decoder: any Decoder) throws {
        texts = (try? decoder.singleValueContainer().decode([String].self)) ?? []
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(texts)
    }
}

/// What somebody has SET in a flag.
package enum FlagValue {
    /// `1` interrupts; `0`, `false` and the empty text are a flag that is down; JSON carries the details.
    ///
    /// - Parameter run: the run that the flag is read for; one that names another run is none for it.
    package static func read(_ bytes: [UInt8], for run: RunID? = nil) throws(MalformedSignal) -> SignalMessage? {
        switch bytes {
        case Array("1".utf8), Array("true".utf8): return try SignalMessage(json: Array("{}".utf8))
        case [], Array("0".utf8), Array("false".utf8): return nil
        default:
            guard bytes.first == UInt8(ascii: "{") else {
                throw MalformedSignal(reason: "it is neither 1 nor a JSON object")
            }
            let message = try SignalMessage(json: bytes, limit: SignalMessage.maximumFlagSize)
            if let run, let named = message.run, named != run.rawValue { return nil }
            return message
        }
    }
}

/// Why bytes from elsewhere are not an interrupt. They are ignored, and said once.
package struct MalformedSignal: Error, Hashable {
    package let reason: String

    package init(reason: String) { self.reason = reason }
}

extension DecodingError {
    /// Names the field, never its content.
    fileprivate var summary: String {
        switch self {
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(context.codingPath.last?.stringValue ?? "it") has the wrong type"
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        default: "it is not JSON"
        }
    }
}
