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
    /// The most bytes that a checkpoint may have: 64 MiB.
    public static let maximumSize = 67_108_864

    /// The directory. It must exist.
    public let directory: String

    /// A store in `directory`. Touches nothing.
    public init(directory: String) { self.directory = directory }

    /// Puts a checkpoint in the place of an earlier one. Returns when it would survive a loss of power.
    public func save(_ checkpoint: Checkpoint, as name: Name) throws(CheckpointError) {
        let place = path(of: name)
        guard checkpoint.bytes.count <= Self.maximumSize else {
            throw .system(EFBIG, doing: "save", path: place)
        }
        // Two that save at once do not write into the same file.
        let beside = "\(place).\(RunID.random())"
        do throws(CheckpointError) {
            let file = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard file >= 0 else { throw CheckpointError("create", beside) }
            defer { close(file) }
            try append(checkpoint.encoded(as: name), to: file, beside)
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

    /// The checkpoint of this name; `nil` when there is none.
    ///
    /// - Throws: ``CheckpointError/unusable(path:why:)`` for one that is damaged, of another name, of a newer version or
    ///   larger than ``maximumSize``, and for what is no file that only this user may write: ``discard(_:)`` lets the work
    ///   start afresh.
    public func offer(_ name: Name) throws(CheckpointError) -> Checkpoint? {
        let path = path(of: name)
        // Nobody waits for whoever might write to a pipe in its place.
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if file < 0, errno == ENOENT { return nil }
        guard file >= 0 else { throw CheckpointError("open", path) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw CheckpointError("open", path) }
        if let why = status.reasonNotToTrust { throw .unusable(path: path, why: why) }
        let bytes = try contents(of: file, path)
        do throws(CheckpointUnreadable) {
            return try Checkpoint(encoded: bytes, as: name)
        } catch {
            throw .unusable(path: path, why: error.why)
        }
    }

    /// Deletes the checkpoint of this name; one that is not there is no error.
    public func discard(_ name: Name) throws(CheckpointError) {
        guard unlink(path(of: name)) == 0 || errno == ENOENT else { throw CheckpointError("delete", path(of: name)) }
    }

    private func path(of name: Name) -> String { "\(directory)/\(name).checkpoint" }

    private func contents(of file: Int32, _ path: String) throws(CheckpointError) -> [UInt8] {
        var (bytes, piece) = ([UInt8](), [UInt8](repeating: 0, count: 65_536))
        while true {
            let count = read(file, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CheckpointError("read", path) }
            if count == 0 { return bytes }
            bytes += piece.prefix(count)
        }
    }

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

/// Why a checkpoint could not be saved, offered or deleted.
public enum CheckpointError: Error, Hashable, CustomStringConvertible {
    /// The system refused: its error number, and what it was to do.
    case system(Int32, doing: String, path: String)
    /// No work can go on from what lies there. What is saved next takes its place.
    case unusable(path: String, why: String)

    fileprivate init(_ action: String, _ path: String) { self = .system(errno, doing: action, path: path) }

    /// One sentence.
    public var description: String {
        switch self {
        case .system(let code, let action, let path):
            "cannot \(action) '\(path.escapedForDisplay())': \(String(cString: strerror(code)))"
        case .unusable(let path, let why):
            "cannot resume from '\(path.escapedForDisplay())': \(why); delete it to start afresh"
        }
    }
}

extension stat {
    /// Why this is no checkpoint of ours, whatever is in it.
    fileprivate var reasonNotToTrust: String? {
        if st_mode & S_IFMT != S_IFREG { return "it is no regular file" }
        if st_uid != geteuid() { return "it belongs to user \(st_uid), not to \(geteuid())" }
        if st_mode & 0o022 != 0 { return "others may write it" }
        // What stands around the bytes is short.
        if st_size > CheckpointStore.maximumSize + 65_536 {
            return "it has \(st_size) bytes, more than a checkpoint may have"
        }
        return nil
    }
}
