/// One reply of a Redis server, in the words of its protocol, version 2.
public enum RESPValue: Sendable, Hashable {
    /// A short answer such as `OK`.
    case status(String)
    /// A refusal: `ERR …`, `NOPERM …`, `NOSCRIPT …`.
    case error(String)
    /// A number.
    case integer(Int64)
    /// A string of bytes.
    case bulk([UInt8])
    /// A list; an element may be a list again.
    case array([RESPValue])
    /// Nothing: no such key, or a null list.
    case null

    /// The text of a status or a bulk; bytes that are not UTF-8 are repaired. `nil` for anything else.
    public var text: String? {
        switch self {
        case .status(let text): text
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .error, .integer, .array, .null: nil
        }
    }

    /// The bytes of a bulk or a status, unchanged. `nil` for anything else.
    public var bytes: [UInt8]? {
        switch self {
        case .status(let text): Array(text.utf8)
        case .bulk(let bytes): bytes
        case .error, .integer, .array, .null: nil
        }
    }

    /// The number, also if it was sent as text. `nil` for anything else.
    public var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .status, .bulk: text.flatMap { Int64($0) }
        case .error, .array, .null: nil
        }
    }

    /// The elements of a list. `nil` for anything else.
    public var array: [RESPValue]? {
        switch self {
        case .array(let elements): elements
        case .status, .error, .integer, .bulk, .null: nil
        }
    }

    /// The text of an error reply. `nil` for anything else.
    public var errorText: String? {
        switch self {
        case .error(let text): text
        case .status, .integer, .bulk, .array, .null: nil
        }
    }
}
