/// One word of a named job's command, or the value of one of its variables: text with `{parameter}` in it. `{{` and `}}`
/// are braces.
struct JobTemplate: Equatable, Sendable {
    enum Part: Equatable, Sendable {
        case text(String)
        case parameter(String)
    }

    private(set) var parts: [Part] = []

    struct Problem: Error, Equatable {
        let text: String
    }

    /// The parameters that it names.
    var parameters: [String] {
        parts.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }

    init(_ text: String) throws(Problem) {
        var rest = Substring(text)
        var plain = ""
        while let character = rest.popFirst() {
            switch character {
            case "{" where rest.first == "{", "}" where rest.first == "}": plain.append(rest.removeFirst())
            case "}": throw Problem(text: "a '}' without a '{': write '}}' for one that is meant")
            case "{":
                guard let end = rest.firstIndex(of: "}"), end > rest.startIndex else {
                    throw Problem(text: "a '{' without a parameter and '}': write '{{' for one that is meant")
                }
                if !plain.isEmpty { parts.append(.text(plain)) }
                plain = ""
                parts.append(.parameter(String(rest[..<end])))
                rest = rest[rest.index(after: end)...]
            default: plain.append(character)
            }
        }
        if !plain.isEmpty { parts.append(.text(plain)) }
    }

    /// The one argument that comes of it, whatever the values look like; `nil` when it is a parameter that stands for
    /// nothing.
    func filled(_ values: [String: String]) -> String? {
        if case .parameter(let name)? = parts.first, parts.count == 1 { return values[name] }
        return parts.reduce(into: "") { text, part in
            switch part {
            case .text(let plain): text += plain
            case .parameter(let name): text += values[name] ?? ""
            }
        }
    }
}
