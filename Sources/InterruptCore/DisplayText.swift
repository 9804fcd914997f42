extension String {
    /// The text with everything that could steer a terminal or forge a line shown as a visible escape.
    ///
    /// Escaped are C0 and C1 control characters, DEL, line and paragraph separators, bidirectional controls, and the
    /// backslash that would make an escape ambiguous.
    /// - Parameter limit: the most characters to show; what is left out is said by `…`.
    public func escapedForDisplay(limit: Int = .max) -> String {
        // Most texts are plain.
        if utf8.count <= limit, utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x5C }) { return self }
        var result = ""
        var shown = 0
        for scalar in unicodeScalars {
            if shown == limit { return result + "…" }
            shown += 1
            if scalar == "\\" {
                result += "\\\\"
            } else if let escape = scalar.displayEscape {
                result += escape
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension Unicode.Scalar {
    /// What is shown in place of a character that could steer a terminal or forge a line; `nil` for all others.
    package var displayEscape: String? {
        switch value {
        case 0x09: "\\t"
        case 0x0A: "\\n"
        case 0x0D: "\\r"
        case 0x00...0x1F, 0x7F...0x9F: "\\x" + value.hexadecimal(digits: 2)
        case 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xE0000...0xE007F:
            "\\u{" + value.hexadecimal(digits: 4) + "}"
        default: nil
        }
    }
}

extension String {
    /// As much of the text as fits, cut between characters.
    package func clipped(toBytes limit: Int) -> String {
        if utf8.count <= limit { return self }
        var result = ""
        for character in self {
            guard result.utf8.count + character.utf8.count <= limit else { break }
            result.append(character)
        }
        return result
    }
}

/// What may be shown where a process runs, as its environment says.
public enum DisplayEnvironment {
    /// Whether only ASCII is wanted: the locale is not UTF-8, or `NO_COLOR` is set.
    public static func isPlain(_ environment: [String: String]) -> Bool {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0.lowercased() } }
        let locale = value("LC_ALL") ?? value("LC_CTYPE") ?? value("LANG") ?? "c"
        return value("NO_COLOR") != nil || !(locale.contains("utf-8") || locale.contains("utf8"))
    }
}

extension UInt32 {
    fileprivate func hexadecimal(digits: Int) -> String {
        let text = String(self, radix: 16)
        return String(repeating: "0", count: Swift.max(0, digits - text.count)) + text
    }
}
