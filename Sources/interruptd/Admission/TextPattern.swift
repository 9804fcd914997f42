import Glibc

/// An extended POSIX regular expression that a whole value has to match. The C library's matcher does not go back and
/// forth, so no value makes it take long; what could, back references, is refused.
///
/// Unsafe here: a compiled expression is a C structure. It lives for one call, because it is a lock, too, and can
/// neither be compared nor sent; compiling takes microseconds.
struct TextPattern: Equatable, Sendable {
    let text: String

    struct Problem: Error, Equatable {
        let text: String
    }

    init(_ text: String) throws(Problem) {
        guard !text.utf8.contains(0) else { throw Problem(text: "it contains a NUL byte") }
        let hasReference = zip(text.utf8, text.utf8.dropFirst()).contains { byte, next in
            byte == UInt8(ascii: "\\") && (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(next)
        }
        guard !hasReference else { throw Problem(text: "back references are not read here") }
        self.text = text
        try withCompiled { _ in }
    }

    /// Whether all of `value` matches. One with a NUL byte never does.
    func matches(_ value: String) -> Bool {
        if value.utf8.contains(0) { return false }
        // The longest match at the leftmost place: if any covers the whole value, it is this one.
        let match = try? withCompiled { expression in  // it has been compiled before
            var match = regmatch_t()
            return regexec(&expression, value, 1, &match, 0) == 0 ? match : nil
        }
        guard let match = match ?? nil else { return false }
        return match.rm_so == 0 && Int(match.rm_eo) == value.utf8.count
    }

    private func withCompiled<Result>(_ body: (inout regex_t) -> Result) throws(Problem) -> Result {
        var expression = regex_t()
        let code = regcomp(&expression, text, REG_EXTENDED)
        guard code == 0 else {
            var message = [CChar](repeating: 0, count: 200)
            regerror(code, &expression, &message, message.count)
            throw Problem(
                text: String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            )
        }
        defer { regfree(&expression) }
        return body(&expression)
    }
}
