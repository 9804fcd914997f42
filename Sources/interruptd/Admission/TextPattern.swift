import Glibc

/// An extended POSIX regular expression that a whole value has to match. The C library's matcher does not go back and
/// forth, so no value makes it take long; what could, back references, is refused.
///
/// Unsafe here: a compiled expression is a C structure. It lives for one call, because it is a lock, too, and can
/// neither be compared nor sent; compiling takes microseconds.
struct TextPattern: Equatable, Sendable {
    let text: String

    /// What an expression may have at most: the C library's compiler calls itself for each parenthesis, and copies what is
    /// to be repeated.
    private static let maximumLength = 1_024
    private static let maximumDepth = 100
    private static let maximumRepetition = 1_000

    struct Problem: Error, Equatable {
        let text: String
    }

    init(_ text: String) throws(Problem) {
        guard !text.utf8.contains(0) else { throw Problem(text: "it contains a NUL byte") }
        guard text.utf8.count <= Self.maximumLength else {
            throw Problem(text: "it has \(text.utf8.count) bytes, at most \(Self.maximumLength)")
        }
        guard text.utf8.count(where: { $0 == UInt8(ascii: "(") }) <= Self.maximumDepth else {
            throw Problem(text: "it has more than \(Self.maximumDepth) parentheses")
        }
        guard Self.repetition(in: text) <= Self.maximumRepetition else {
            throw Problem(text: "its repetitions, multiplied, are more than \(Self.maximumRepetition)")
        }
        let hasReference = zip(text.utf8, text.utf8.dropFirst()).contains { byte, next in
            byte == UInt8(ascii: "\\") && (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(next)
        }
        guard !hasReference else { throw Problem(text: "back references are not read here") }
        self.text = text
        try withCompiled { _ in }
    }

    /// The product of all numbers in braces: how often a part is copied at most.
    private static func repetition(in text: String) -> Int {
        var product = 1
        for braces in text.utf8.split(separator: UInt8(ascii: "{")).dropFirst() {
            let bounds = braces.prefix { $0 != UInt8(ascii: "}") }.split(separator: UInt8(ascii: ","))
            let largest = bounds.map { Int(String(decoding: $0, as: UTF8.self)) ?? 1 }.max() ?? 1
            let (next, overflows) = product.multipliedReportingOverflow(by: max(1, largest))
            if overflows { return .max }
            product = next
        }
        return product
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
