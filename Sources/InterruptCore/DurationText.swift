extension Duration {
    /// The longest duration that is accepted: 10 years.
    public static let longestAccepted = Duration.seconds(10 * 365 * 86_400)

    /// The nearest duration between none and the longest accepted: such a one can be added to any instant of now.
    var clamped: Duration { min(max(self, .zero), .longestAccepted) }

    /// Reads `500ms`, `10s`, `1.5s`, `5m`, `2h` or `1d`. A plain `0` is accepted, any other number needs its unit.
    ///
    /// - Throws: ``DurationError`` that says which units and which range are accepted.
    public init(text: String) throws(DurationError) {
        guard text != "0" else {
            self = .zero
            return
        }
        let units: [(suffix: String, nanoseconds: Double)] = [
            ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9), ("d", 86_400e9),
        ]
        for unit in units where text.hasSuffix(unit.suffix) {
            let digits = text.dropLast(unit.suffix.count)
            let isDecimal = digits.utf8.allSatisfy {
                $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") || $0 == UInt8(ascii: ".")
            }
            guard isDecimal, digits.first != ".", digits.last != ".", let number = Double(digits) else { break }
            let nanoseconds = number * unit.nanoseconds
            guard nanoseconds <= 1e9 * Double(Self.longestAccepted.components.seconds) else {
                throw DurationError(text: text, problem: "longer than 10 years")
            }
            // Rounded: 1.005 s is a little less than 1,005,000,000 ns in binary.
            self = .nanoseconds(Int64(nanoseconds.rounded()))
            return
        }
        throw DurationError(text: text, problem: "write a number and a unit: ms, s, m, h or d, such as 500ms or 10s")
    }

    /// The duration as it is written for people: `0.4 ms`, `12 ms`, `3.2s`, `2m 5s`, `3h 10m`, `2d 4h`.
    public var displayText: String {
        let milliseconds = milliseconds
        if self < .zero { return "0s" }
        if self < .milliseconds(10) {
            let tenths = components.attoseconds / 100_000_000_000_000
            return tenths % 10 == 0 ? "\(tenths / 10) ms" : "\(tenths / 10).\(tenths % 10) ms"
        }
        if milliseconds < 1_000 { return "\(milliseconds) ms" }
        let seconds = milliseconds / 1_000
        switch seconds {
        case ..<60: return "\(seconds).\(milliseconds % 1_000 / 100)s"
        case ..<3_600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3_600)h \(seconds % 3_600 / 60)m"
        default: return "\(seconds / 86_400)d \(seconds % 86_400 / 3_600)h"
        }
    }

    /// The number of seconds with up to three decimals and no trailing zeros: `5`, `1.5`, `0.25`.
    var secondsText: String {
        let milliseconds = milliseconds
        var text = "\(milliseconds / 1_000)"
        let fraction = milliseconds % 1_000
        if fraction > 0 {
            text += "." + String("\(1_000 + fraction)".dropFirst())
            while text.hasSuffix("0") { text.removeLast() }
        }
        return text
    }
}

/// Why a text is not a duration.
public struct DurationError: Error, Equatable, CustomStringConvertible {
    let text: String
    let problem: String

    /// One sentence: what is wrong and what is accepted.
    public var description: String {
        "'\(text.escapedForDisplay(limit: 40))' is not a duration: \(problem)"
    }
}
