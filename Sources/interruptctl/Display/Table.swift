/// Rows in columns, cut to a width. Cells are escaped before they come here.
struct Table: Equatable {
    /// The fewest characters that a column is cut to.
    static let narrowest = 6

    let titles: [String]
    var rows: [[String]] = []

    /// The lines, none wider than the screen and none with spaces at its end.
    func lines(on screen: Screen) -> [String] {
        let all = [titles] + rows
        var widths = titles.indices.map { column in all.map { DisplayWidth.of($0[column]) }.max() ?? 0 }
        let gaps = 2 * (titles.count - 1)
        // The widest column gives way first, the last one of equals: what is long suffers least from a cut.
        while widths.reduce(gaps, +) > screen.width,
            let widest = widths.indices.max(by: { widths[$0] <= widths[$1] }), widths[widest] > Self.narrowest
        {
            widths[widest] -= 1
        }
        return all.enumerated().map { index, row in
            let line = row.enumerated().map { column, cell in
                let text = DisplayWidth.cut(cell, to: widths[column], ellipsis: screen.ellipsis)
                let isLast = column == row.count - 1
                return isLast ? text : text + String(repeating: " ", count: widths[column] - DisplayWidth.of(text))
            }.joined(separator: "  ")
            let trimmed = String(line.reversed().drop { $0 == " " }.reversed())
            return index == 0 ? screen.colored(trimmed, .dim) : trimmed
        }
    }
}

/// Names and values in two aligned columns.
enum FieldList {
    static func lines(_ fields: [(name: String, value: String?)]) -> [String] {
        let present = fields.compactMap { field in field.value.map { (field.name, $0) } }
        let width = present.map(\.0.count).max() ?? 0
        return present.map { name, value in
            name + ":" + String(repeating: " ", count: width - name.count + 1) + value
        }
    }
}

/// How many columns of a terminal a text takes.
enum DisplayWidth {
    static func of(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + of($1) } }

    /// The text, or what of it fits before an ellipsis.
    static func cut(_ text: String, to width: Int, ellipsis: String) -> String {
        guard of(text) > width else { return text }
        var left = width - ellipsis.count
        var result = ""
        for character in text {
            left -= of(String(character))
            if left < 0 { break }
            result.append(character)
        }
        return result + ellipsis
    }

    private static func of(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1FAFF,
            0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
