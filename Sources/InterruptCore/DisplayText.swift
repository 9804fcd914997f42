extension String {
    /// The text with everything that could steer a terminal or forge a line shown as a visible escape.
    ///
    /// Escaped are C0 and C1 control characters, DEL, line and paragraph separators, bidirectional controls, and the
    /// backslash that would make an escape ambiguous.
    /// - Parameter limit: the most characters to show; what is left out is said by `…`.
    public func escapedForDisplay(limit: Int = .max) -> String {
        var result = ""
        var shown = 0
        for scalar in unicodeScalars {
            if shown == limit { return result + "…" }
            shown += 1
            switch scalar.value {
            case 0x09: result += "\\t"
            case 0x0A: result += "\\n"
            case 0x0D: result += "\\r"
            case 0x5C: result += "\\\\"
            case 0x00...0x1F, 0x7F...0x9F: result += "\\x" + scalar.value.hexadecimal(digits: 2)
            case 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xE0000...0xE007F:
                result += "\\u{" + scalar.value.hexadecimal(digits: 4) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension UInt32 {
    fileprivate func hexadecimal(digits: Int) -> String {
        let text = String(self, radix: 16)
        return String(repeating: "0", count: Swift.max(0, digits - text.count)) + text
    }
}
