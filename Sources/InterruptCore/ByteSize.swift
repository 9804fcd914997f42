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
        let unit = Self.units.first { text.uppercased().hasSuffix($0.name) }
        let digits = text.dropLast(unit?.name.count ?? 0)
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = Int64(digits)
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
