import FoundationEssentials

/// JSON, on its way out as a rule.
public enum JSONValue: Codable, Hashable, Sendable {
    /// A text.
    case string(String)
    /// A whole number.
    case integer(Int64)
    /// A number that need not be whole.
    case number(Double)
    /// A truth value.
    case bool(Bool)
    /// Values in order.
    case array([JSONValue])
    /// Named values.
    case object([String: JSONValue])
    /// Nothing.
    case null

    /// Decodes any value.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let values = try? container.decode([JSONValue].self) {
            self = .array(values)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// Encodes the value itself.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .string(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .bool(let value): try container.encode(value)
        case .array(let values): try container.encode(values)
        case .object(let members): try container.encode(members)
        case .null: try container.encodeNil()
        }
    }

    /// The value on one line, members in order of their names. What could steer a terminal is escaped.
    public var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Every case of this type encodes.
        let json = (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
        return json.escapedInJSON
    }
}

extension String {
    /// JSON text in which what JSON allows and a terminal obeys is escaped; it only stands in strings.
    fileprivate var escapedInJSON: String {
        if utf8.allSatisfy({ $0 < 0x7F }) { return self }
        var result = ""
        for scalar in unicodeScalars {
            switch scalar.value {
            case 0x7F...0x9F, 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
