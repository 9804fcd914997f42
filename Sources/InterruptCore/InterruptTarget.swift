/// What an interrupt is aimed at. Its text form is also how gates and requests name it.
public enum InterruptTarget: Hashable, Sendable {
    /// The newest run of one job.
    case job(Name)
    /// Every live run that was submitted with this group.
    case group(Name)
    /// Every live run of this queue.
    case queue(Name)
    /// Every run that this worker holds.
    case worker(Name)
    /// Every live run.
    case all

    /// Reads `JOB`, `group:NAME`, `queue:NAME`, `worker:NAME` or `all`.
    ///
    /// - Throws: ``TargetError`` that names the part that is wrong.
    public init(_ text: String) throws(TargetError) {
        if text == "all" {
            self = .all
            return
        }
        guard let colon = text.firstIndex(of: ":") else {
            self = .job(try Self.name(text, of: "job id"))
            return
        }
        let kind = text[..<colon]
        let rest = String(text[text.index(after: colon)...])
        switch kind {
        case "group": self = .group(try Self.name(rest, of: "group"))
        case "queue": self = .queue(try Self.name(rest, of: "queue"))
        case "worker": self = .worker(try Self.name(rest, of: "worker"))
        default:
            throw TargetError(
                description: "'\(text.escapedForDisplay(limit: 40))' is not a target: "
                    + "use JOB, group:NAME, queue:NAME, worker:NAME or all"
            )
        }
    }

    private static func name(_ text: String, of what: String) throws(TargetError) -> Name {
        do throws(NameError) {
            return try Name(text)
        } catch {
            throw TargetError(description: "\(what): \(error)")
        }
    }

    /// Whether it stands for more than one job.
    public var isWide: Bool {
        if case .job = self { return false }
        return true
    }
}

extension InterruptTarget: CustomStringConvertible {
    /// The form that ``init(_:)`` reads.
    public var description: String {
        switch self {
        case .job(let name): name.description
        case .group(let name): "group:\(name)"
        case .queue(let name): "queue:\(name)"
        case .worker(let name): "worker:\(name)"
        case .all: "all"
        }
    }
}

/// Why a text is not an ``InterruptTarget``.
public struct TargetError: Error, Equatable, CustomStringConvertible {
    /// One sentence: what is wrong and what is allowed.
    public let description: String
}
