import CSodium

/// The secret that those who ask and the workers share: what is signed with it comes from somebody who has it.
///
/// The signature is an HMAC with SHA-256. The key's bytes stand in no description, error or log.
public struct SigningKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// The fewest bytes of a key. 16: 128 bits that nobody guesses.
    public static let minimumLength = 16
    /// The most bytes of a key.
    public static let maximumLength = 4_096

    private let key: [UInt8]

    /// A key of these bytes; `nil` when they are too few or too many.
    public init?(_ bytes: [UInt8]) {
        guard (Self.minimumLength...Self.maximumLength).contains(bytes.count) else { return nil }
        key = bytes
    }

    /// What may be shown of it: nothing.
    public var description: String { "a key" }
    /// Nothing, either.
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// The signature of a text: 64 lower-case hexadecimal digits.
    func signature(of text: [UInt8]) -> String {
        Hexadecimal.text(of: code(of: text))
    }

    /// Whether the signature is that of the text. Takes as long whichever digit is wrong.
    func verifies(_ signature: some StringProtocol, of text: [UInt8]) -> Bool {
        let expected = code(of: text)
        guard let given = Hexadecimal.bytes(of: signature), given.count == expected.count else { return false }
        return crypto_verify_32(given, expected) == 0
    }

    private func code(of text: [UInt8]) -> [UInt8] {
        var state = crypto_auth_hmacsha256_state()
        defer { sodium_memzero(&state, MemoryLayout.size(ofValue: state)) }  // the key can be used through it
        crypto_auth_hmacsha256_init(&state, key, key.count)
        crypto_auth_hmacsha256_update(&state, text, UInt64(text.count))
        var code = [UInt8](repeating: 0, count: Int(crypto_auth_hmacsha256_BYTES))
        crypto_auth_hmacsha256_final(&state, &code)
        return code
    }
}

/// Bytes as lower-case hexadecimal digits.
private enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    static func text(of bytes: some Sequence<UInt8>) -> String {
        String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// `nil` for anything but pairs of lower-case digits: one signature has one text.
    static func bytes(of text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            guard let digit = digits.firstIndex(of: character).map(UInt8.init) else { return nil }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return high == nil ? bytes : nil
    }
}
