/// What is signed: a kind, a namespace, and fields with their values, as bytes that say exactly that and nothing else.
///
/// Every part is written as its length in bytes in decimal digits, a `:`, its bytes, and a `,`; first the kind, then the
/// namespace, then name and value of each field, in the order of the bytes of the names. So no two texts have the same
/// bytes, whatever stands in them, and a signature made for one purpose or namespace is none for another.
struct SignedText: Equatable, Sendable {
    /// What a signature is for.
    enum Kind: String, CaseIterable {
        /// Running a submission.
        case run = "run-1"
        /// Interrupting a run.
        case interrupt = "interrupt-1"
        /// Pausing a run.
        case pause = "pause-1"
    }

    /// A field and its value.
    struct Field: Equatable, Sendable {
        var name: [UInt8]
        var value: [UInt8]
    }

    let kind: Kind
    let namespace: String
    /// In the order of their names, no name twice.
    let fields: [Field]

    init(_ kind: Kind, namespace: String, fields: [Field]) {
        self.kind = kind
        self.namespace = namespace
        self.fields = fields.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// Of texts; empty values are as good as none.
    init(_ kind: Kind, namespace: String, _ values: KeyValuePairs<String, String?>) {
        let fields = values.compactMap { name, value -> Field? in
            guard let value, !value.isEmpty else { return nil }
            return Field(name: Array(name.utf8), value: Array(value.utf8))
        }
        self.init(kind, namespace: namespace, fields: fields)
    }

    /// The value of a field as text; `nil` when there is none.
    subscript(name: String) -> String? {
        fields.first { $0.name.elementsEqual(name.utf8) }.flatMap { String(validating: $0.value, as: UTF8.self) }
    }

    /// The bytes that are signed.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        func append(_ part: some Collection<UInt8>) {
            bytes += Array("\(part.count):".utf8) + part + [UInt8(ascii: ",")]
        }
        append(kind.rawValue.utf8)
        append(namespace.utf8)
        for field in fields {
            append(field.name)
            append(field.value)
        }
        return bytes
    }

    /// Reads what ``bytes`` writes; `nil` for anything else.
    init?(bytes: some Collection<UInt8>) {
        var rest = bytes[...]
        var parts: [[UInt8]] = []
        while !rest.isEmpty {
            guard let part = Self.part(of: &rest) else { return nil }
            parts.append(part)
        }
        guard parts.count >= 2, parts.count.isMultiple(of: 2),
            let kind = String(validating: parts[0], as: UTF8.self).flatMap(Kind.init),
            let namespace = String(validating: parts[1], as: UTF8.self)
        else { return nil }
        let fields = stride(from: 2, to: parts.count, by: 2).map { Field(name: parts[$0], value: parts[$0 + 1]) }
        guard zip(fields, fields.dropFirst()).allSatisfy({ $0.name.lexicographicallyPrecedes($1.name) }) else {
            return nil
        }
        self.init(kind, namespace: namespace, fields: fields)
    }

    /// Takes one part off the beginning; `nil` when none stands there.
    private static func part<Bytes: Collection<UInt8>>(of rest: inout Bytes) -> [UInt8]?
    where Bytes.SubSequence == Bytes {
        let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        // Seven digits: more than anything that is signed here, and no number that overflows. One length has one text.
        guard (1...7).contains(digits.count), digits.count == 1 || digits.first != UInt8(ascii: "0"),
            let count = Int(String(decoding: digits, as: UTF8.self))
        else { return nil }
        rest = rest.dropFirst(digits.count)
        guard rest.popFirst() == UInt8(ascii: ":") else { return nil }
        let part = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
        guard part.count == count, rest.popFirst() == UInt8(ascii: ",") else { return nil }
        return part
    }
}
