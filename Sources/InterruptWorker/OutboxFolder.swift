internal import Glibc
internal import InterruptCore
internal import SystemPackage

/// Why a file or a directory of the outbox cannot be used.
struct OutboxError: Error, Hashable, CustomStringConvertible {
    /// One sentence, without the path.
    let description: String

    init(_ description: String) { self.description = description }

    /// What the system has said last.
    init(failedTo step: String) { self.init("cannot \(step): \(Errno(rawValue: errno))") }
}

/// The directory with the outcomes of one worker, open: `RUN.json` for each run, there whole or not at all.
///
/// Unsafe here: the system's calls take numbers and pointers. Files are reached from the directory's descriptor and
/// never through a link, so what is checked is what is used.
struct OutboxFolder: ~Copyable {
    /// A file that is there.
    struct Entry: Sendable {
        var name: String
        var modifiedAt: Timestamp
        var content: Result<[UInt8], OutboxError>
    }

    private static let suffix = ".json"
    private static let unfinished = ".new"
    /// What is longer was not written by a worker.
    private static let maximumSize = 16 << 20

    private let descriptor: Int32

    /// Opens the directory, which has to be this user's alone to write; `nil` when there is none.
    init?(opening path: FilePath) throws(OutboxError) {
        descriptor = open(path.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw OutboxError(failedTo: "open it")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw OutboxError(failedTo: "look at it") }
        guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
            throw OutboxError("it can be written by others")
        }
    }

    /// Makes the directory, and the one that it is in, when they are missing, and opens it.
    init(making path: FilePath) throws(OutboxError) {
        for path in [path.removingLastComponent(), path] where mkdir(path.string, 0o700) != 0 && errno != EEXIST {
            throw OutboxError(failedTo: "make it")
        }
        guard let folder = try OutboxFolder(opening: path) else { throw OutboxError("it is gone again") }
        self = folder
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Puts the text in the place of the run's earlier one.
    func save(_ text: [UInt8], for run: RunID) throws(OutboxError) {
        let place = try fileName(of: run)
        let beside = place + Self.unfinished
        unlinkat(descriptor, beside, 0)
        let file = openat(descriptor, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw OutboxError(failedTo: "make a file in it") }
        defer { close(file) }
        do throws(OutboxError) {
            try append(text, to: file)
            guard fsync(file) == 0 else { throw OutboxError(failedTo: "save a file in it") }
            guard renameat(descriptor, beside, descriptor, place) == 0 else {
                throw OutboxError(failedTo: "move a file in it")
            }
        } catch {
            unlinkat(descriptor, beside, 0)
            throw error
        }
    }

    /// Forces the names that were saved to the disk.
    func synchronize() throws(OutboxError) {
        guard fsync(descriptor) == 0 else { throw OutboxError(failedTo: "save it") }
    }

    /// Removes the run's file; one that is not there is no error.
    func remove(_ run: RunID) throws(OutboxError) {
        let name = try fileName(of: run)
        guard unlinkat(descriptor, name, 0) == 0 || errno == ENOENT else {
            throw OutboxError(failedTo: "remove a file of it")
        }
    }

    /// All that is there, in the order of the names. What was never finished is removed.
    func entries() throws(OutboxError) -> [Entry] {
        // A copy: reading moves a place that both share, and closing closes it.
        guard let directory = fdopendir(openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else {
            throw OutboxError(failedTo: "read it")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(Self.suffix + Self.unfinished) {
                unlinkat(descriptor, name, 0)
            } else if name != ".", name != ".." {
                names.append(name)
            }
        }
        var entries: [Entry] = []
        for name in names.sorted() { entries.append(entry(name)) }
        return entries
    }

    /// The run that a file is named after.
    static func run(named name: String) -> RunID? {
        guard name.hasSuffix(suffix), case let run = String(name.dropLast(suffix.count)), isUsable(run) else {
            return nil
        }
        return RunID(rawValue: run)
    }

    private func entry(_ name: String) -> Entry {
        // Without waiting: whoever put a pipe there may never write.
        let file = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        defer { if file >= 0 { close(file) } }
        var status = stat()
        var entry = Entry(name: name, modifiedAt: .now, content: .failure(OutboxError("it is not a file of this user")))
        guard file >= 0, fstat(file, &status) == 0 else {
            // A link, something that cannot be opened, or one that was removed meanwhile.
            entry.content = .failure(OutboxError(failedTo: "open it"))
            return entry
        }
        entry.modifiedAt = Timestamp(milliseconds: Int64(status.st_mtim.tv_sec) * 1_000)
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else { return entry }
        guard status.st_size <= Self.maximumSize else {
            entry.content = .failure(OutboxError("it is too long"))
            return entry
        }
        entry.content = content(of: file, size: Int(status.st_size))
        return entry
    }

    private func content(of file: Int32, size: Int) -> Result<[UInt8], OutboxError> {
        var bytes = [UInt8](repeating: 0, count: size)
        var count = 0
        while count < size {
            let more = bytes[count...].withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
            if more < 0, errno == EINTR { continue }
            guard more >= 0 else { return .failure(OutboxError(failedTo: "read it")) }
            if more == 0 { break }
            count += more
        }
        return .success(Array(bytes.prefix(count)))
    }

    private func append(_ text: [UInt8], to file: Int32) throws(OutboxError) {
        var rest = text[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw OutboxError(failedTo: "write a file in it") }
            rest = rest.dropFirst(count)
        }
    }

    /// A run id is random text of our own making, but it came over the wire.
    private func fileName(of run: RunID) throws(OutboxError) -> String {
        guard Self.isUsable(run.rawValue) else { throw OutboxError("'\(run)' names no file".escapedForDisplay()) }
        return run.rawValue + Self.suffix
    }

    private static func isUsable(_ run: String) -> Bool { (try? Name(run)) != nil }
}
