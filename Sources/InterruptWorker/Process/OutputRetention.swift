internal import Glibc
public import SystemPackage

/// Removes what is left of old runs in a directory of output files: first what is older than a limit, then the oldest
/// until the rest is small enough. A file of a run that still runs stays, whichever daemon writes it: it is locked.
public struct OutputRetention: Sendable {
    /// One file of output.
    struct File: Equatable {
        var name: String
        /// When it was written last, in seconds since 1970.
        var writtenAt: Int64
        var size: Int64
    }

    /// What a pass has removed.
    public struct Removed: Hashable, Sendable {
        /// How many files.
        public var count = 0
        /// How much room they had taken, in bytes.
        public var size: Int64 = 0
    }

    /// How long a file is kept after it was written last.
    public var age: Duration
    /// How much all files may have together, in bytes.
    public var size: Int64

    /// Limits from their values.
    public init(age: Duration, size: Int64) {
        self.age = age
        self.size = size
    }

    /// Applies the limits to a directory, once. What cannot be read or removed stays. `now` is in seconds since 1970.
    public func apply(to directory: FilePath, now: Int64) -> Removed {
        var removed = Removed()
        var rest = Self.files(in: directory)
        let total = rest.reduce(0) { $0 + $1.size }
        rest.sort { ($0.writtenAt, $0.name) < ($1.writtenAt, $1.name) }
        for file in rest where isTooMuch(file, left: total - removed.size, now: now) {
            guard Self.remove(directory.appending(file.name)) else { continue }
            removed.count += 1
            removed.size += file.size
        }
        return removed
    }

    /// Whether a file has to go while there are `left` bytes in all.
    func isTooMuch(_ file: File, left: Int64, now: Int64) -> Bool {
        left > size || now - file.writtenAt > age.components.seconds
    }

    /// Regular files with the name of an output file; a link is none.
    private static func files(in path: FilePath) -> [File] {
        guard let directory = opendir(path.string) else { return [] }
        defer { closedir(directory) }
        var files: [File] = []
        while let entry = readdir(directory) {
            // Unsafe here: the name is an array of characters that ends with a NUL, within the entry.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
            }
            guard let name, name.hasSuffix(".log") || name.hasSuffix(".log.1") else { continue }
            var status = stat()
            guard fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { continue }
            files.append(File(name: name, writtenAt: Int64(status.st_mtim.tv_sec), size: Int64(status.st_size)))
        }
        return files
    }

    /// Removes a file that nobody writes; `false` when it stays.
    private static func remove(_ path: FilePath) -> Bool {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
        return unlink(path.string) == 0
    }
}
