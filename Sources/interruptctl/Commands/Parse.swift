import ArgumentParser
import InterruptCore

extension Option {
    /// An option that may be left out: what it is for, what stands for its value in the help, and how that is read.
    init<Read>(
        name: NameSpecification = .long,
        _ help: String,
        _ valueName: String,
        _ parse: @Sendable @escaping (String) throws -> Read
    ) where Value == Read? {
        self.init(wrappedValue: nil, name: name, help: ArgumentHelp(help, valueName: valueName), transform: parse)
    }
}

/// Texts of the command line to values.
enum Parse {
    static func name(_ text: String) throws -> Name { try Name(text) }

    static func target(_ text: String) throws -> InterruptTarget { try InterruptTarget(text) }

    static func duration(_ text: String) throws -> Duration { try Duration(text: text) }

    static func positiveDuration(_ text: String) throws -> Duration {
        let duration = try Duration(text: text)
        guard duration > .zero else { throw ValidationError("it must be longer than 0") }
        return duration
    }

    /// One of the seven; a wrong case is said.
    static func reason(_ text: String) throws -> InterruptReason {
        let reason = InterruptReason(rawValue: text)
        if reason.isKnown { return reason }
        let all = InterruptReason.Kind.allCases.map(\.rawValue)
        let folded = text.lowercased()
        let near =
            all.first { $0 == folded }
            ?? all.first { !folded.isEmpty && ($0.hasPrefix(folded) || folded.hasPrefix($0)) }
        let suggestion = near.map { " Did you mean '\($0)'?" } ?? ""
        throw ValidationError("a reason is one of \(all.joined(separator: ", ")).\(suggestion)")
    }

    /// A message of at most 4 KiB.
    static func message(_ text: String) throws -> String {
        guard text.utf8.count <= 4_096 else {
            throw ValidationError("it has \(text.utf8.count) bytes, at most 4096 are kept")
        }
        return text
    }

    /// A number of bytes: `512M`, `2G`, `64K`, `1048576`.
    static func size(_ text: String) throws -> Int64 {
        guard let size = ByteSize(text)?.bytes, 1...(1 << 50) ~= size else {
            throw ValidationError(
                "write a whole number of bytes, or one with K, M, G or T, from 1 to 1024T, such as 512M"
            )
        }
        return size
    }

    /// A number of processes.
    static func count(_ text: String) throws -> Int {
        guard let count = Int(text), 1...4_194_304 ~= count else {
            throw ValidationError("write a whole number from 1 to 4194304")
        }
        return count
    }

    /// How often a job is tried again.
    static func retries(_ text: String) throws -> Int {
        guard let count = Int(text), 0...1_000 ~= count else {
            throw ValidationError("write a whole number from 0 to 1000")
        }
        return count
    }

    /// A text for a shell.
    static func hook(_ text: String) throws -> String {
        if text.isEmpty { throw ValidationError("the command is empty") }
        guard text.utf8.count <= RunHooks.maximumSize else {
            throw ValidationError("it has \(text.utf8.count) bytes, at most \(RunHooks.maximumSize) are taken")
        }
        return text
    }
}
