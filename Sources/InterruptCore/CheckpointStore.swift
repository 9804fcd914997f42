#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What became of a checkpoint when work was interrupted.
public enum CheckpointOutcome: Hashable, Sendable {
    /// It is on disk.
    case saved
    /// It is not, and why.
    case failed(String)
    /// Nobody wanted it: the interrupt said so.
    case skipped
}

/// Where work left off, for its next run.
public struct Checkpoint: Hashable, Sendable {
    /// What the work has saved.
    public let bytes: [UInt8]
    /// Why the work was interrupted, as it was asked.
    public let reason: InterruptReason
    /// The message of the interrupt.
    public let message: String?
    /// When it was saved.
    public let savedAt: Timestamp

    /// A checkpoint from its parts.
    public init(bytes: [UInt8], reason: InterruptReason, message: String? = nil, savedAt: Timestamp = .now) {
        (self.bytes, self.reason, self.message, self.savedAt) = (bytes, reason, message, savedAt)
    }
}

/// A directory with one checkpoint for each name.
///
/// A file is written beside its place, forced to the disk and moved there, so the place has the old one, the new one or
/// none, never a part. What is damaged all the same is told by a checksum, and never offered.
///
/// Unsafe here: the calls of the system take pointers, to values that live as long as the call.
public struct CheckpointStore: Sendable {
    /// The directory. It must exist.
    public let directory: String

    /// A store in `directory`. Touches nothing.
    public init(directory: String) { self.directory = directory }

    /// Puts a checkpoint in the place of an earlier one. Returns when it would survive a loss of power.
    public func save(_ checkpoint: Checkpoint, as name: Name) throws(CheckpointError) {
        let place = path(of: name)
        // Two that save at once do not write into the same file.
        let beside = "\(place).\(RunID.random())"
        do throws(CheckpointError) {
            let file = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard file >= 0 else { throw CheckpointError("create", beside) }
            defer { close(file) }
            try append(checkpoint.encoded, to: file, beside)
            guard fsync(file) == 0 else { throw CheckpointError("save", beside) }
            guard rename(beside, place) == 0 else { throw CheckpointError("move", beside) }
        } catch {
            unlink(beside)
            throw error
        }
        // The new name, too, is to be found after a loss of power.
        let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw CheckpointError("open", directory) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw CheckpointError("save", directory) }
    }

    /// The checkpoint of this name; `nil` when there is none, or none that is whole.
    public func offer(_ name: Name) throws(CheckpointError) -> Checkpoint? {
        let file = open(path(of: name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        if file < 0, errno == ENOENT { return nil }
        guard file >= 0 else { throw CheckpointError("open", path(of: name)) }
        defer { close(file) }
        var (bytes, piece) = ([UInt8](), [UInt8](repeating: 0, count: 65_536))
        while true {
            let count = read(file, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CheckpointError("read", path(of: name)) }
            if count == 0 { return Checkpoint(encoded: bytes) }
            bytes += piece.prefix(count)
        }
    }

    /// Deletes the checkpoint of this name; one that is not there is no error.
    public func discard(_ name: Name) throws(CheckpointError) {
        guard unlink(path(of: name)) == 0 || errno == ENOENT else { throw CheckpointError("delete", path(of: name)) }
    }

    private func path(of name: Name) -> String { "\(directory)/\(name).checkpoint" }

    private func append(_ bytes: [UInt8], to file: Int32, _ path: String) throws(CheckpointError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw CheckpointError("write", path) }
            rest = rest.dropFirst(count)
        }
    }
}

/// Why a checkpoint could not be saved, read or deleted.
public struct CheckpointError: Error, Hashable, CustomStringConvertible {
    /// The system's error number.
    public let code: Int32
    private let action: String
    private let path: String

    fileprivate init(_ action: String, _ path: String) {
        (code, self.action, self.path) = (errno, action, path)
    }

    /// One sentence.
    public var description: String {
        "cannot \(action) '\(path.escapedForDisplay())': \(String(cString: strerror(code)))"
    }
}

extension Checkpoint {
    private static let signature = "interrupt-checkpoint 1"

    /// A line with the checksum of all that follows; a line with the time and the lengths of reason and message, `-` for
    /// none; then reason, message and the bytes, as they are.
    fileprivate var encoded: [UInt8] {
        let (reason, message) = (Array(reason.rawValue.utf8), message.map { Array($0.utf8) })
        let head = "\(savedAt.milliseconds) \(reason.count) \(message.map { "\($0.count)" } ?? "-")\n"
        let rest = Array(head.utf8) + reason + (message ?? []) + bytes
        return Array("\(Self.signature) \(rest.checksum)\n".utf8) + rest
    }

    /// `nil` for what is not whole.
    fileprivate init?(encoded: [UInt8]) {
        let (first, rest) = Self.line(encoded[...])
        guard first == "\(Self.signature) \(rest.checksum)" else { return nil }
        let (head, body) = Self.line(rest)
        let fields = head.split(separator: " ")
        guard fields.count == 3, let savedAt = Int64(fields[0]), let reasonLength = Int(fields[1]),
            case let messageLength = Int(fields[2]) ?? 0, body.count >= reasonLength + messageLength
        else { return nil }
        let texts = body.dropFirst(reasonLength)
        self.init(
            bytes: Array(texts.dropFirst(messageLength)),
            reason: InterruptReason(rawValue: String(decoding: body.prefix(reasonLength), as: UTF8.self)),
            message: fields[2] == "-" ? nil : String(decoding: texts.prefix(messageLength), as: UTF8.self),
            savedAt: Timestamp(milliseconds: savedAt)
        )
    }

    private static func line(_ bytes: ArraySlice<UInt8>) -> (text: String, rest: ArraySlice<UInt8>) {
        let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
        return (String(decoding: bytes[..<end], as: UTF8.self), bytes[end...].dropFirst())
    }
}

extension Collection<UInt8> {
    /// FNV-1a with 64 bits: tells accidents, not attacks.
    fileprivate var checksum: String {
        String(reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }, radix: 16)
    }
}
