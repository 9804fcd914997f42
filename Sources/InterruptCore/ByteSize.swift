/// A number of bytes as people write it: `512M`, `10G`, `1048576`. A unit is a power of 1,024.
package struct ByteSize: Equatable, CustomStringConvertible {
    private static let units: [(name: String, factor: Int64)] = [
        ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10),
    ]

    package let bytes: Int64

    package init(_ bytes: Int64) { self.bytes = bytes }

    /// A whole number, with `K`, `M`, `G` or `T` in either case or none; `nil` for anything else, and for more than there
    /// can be.
    package init?(_ text: String) {
        let last = text.utf8.last
        // By bytes: among characters, there are others that count as one of the letters, or become one.
        let unit = Self.units.first { $0.name.utf8.last == last || $0.name.lowercased().utf8.last == last }
        let digits = text.utf8.dropLast(unit == nil ? 0 : 1)
        guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = Int64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: unit?.factor ?? 1)
        if isTooLarge { return nil }
        self.bytes = bytes
    }

    /// With the largest unit of which it is a whole number.
    package var description: String {
        guard let unit = Self.units.first(where: { bytes > 0 && bytes.isMultiple(of: $0.factor) }) else {
            return "\(bytes)"
        }
        return "\(bytes / unit.factor)\(unit.name)"
    }
}
