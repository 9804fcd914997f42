import Glibc

/// A file or directory that is open for reading, and closed with its last reference.
///
/// Unsafe here: the calls of the system take pointers, to values that live as long as the call.
final class OpenFile {
    private let descriptor: Int32
    private let status: stat

    /// Opens what has this path; `nil` with `errno` when that fails, also when it is a symbolic link. A relative path is
    /// looked for in `directory`.
    init?(_ path: String, in directory: OpenFile? = nil, _ flags: Int32) {
        let flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags
        descriptor = openat(directory?.descriptor ?? AT_FDCWD, path, flags)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            close(descriptor)
            return nil
        }
        self.status = status
    }

    deinit { close(descriptor) }

    var isRegular: Bool { status.st_mode & S_IFMT == S_IFREG }

    func isSame(as other: OpenFile) -> Bool {
        (status.st_dev, status.st_ino) == (other.status.st_dev, other.status.st_ino)
    }

    /// Where the symbolic link of this name in this directory leads; `nil` when it is none.
    func link(_ name: String) -> String? {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(descriptor, name, &target, target.count)
        return count > 0 ? String(decoding: target.prefix(count), as: UTF8.self) : nil
    }

    /// All of it, or so much that it can be seen to be more than `limit`; `nil` with `errno` when it cannot be read.
    func text(atMost limit: Int) -> [UInt8]? {
        var (bytes, piece) = ([UInt8](), [UInt8](repeating: 0, count: limit + 1))
        while bytes.count <= limit {
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes += piece.prefix(count)
        }
        return bytes
    }

    var trust: FileTrust {
        var system = statvfs()
        let isReadOnly = fstatvfs(descriptor, &system) == 0 && system.f_flag & UInt(ST_RDONLY) != 0
        return FileTrust(owner: status.st_uid, user: geteuid(), mode: status.st_mode, isReadOnly: isReadOnly)
    }
}

/// Whether only those could have written something who may stop this process anyway.
struct FileTrust {
    var owner: uid_t
    var user: uid_t
    var mode: mode_t
    /// Whether it lies where nobody can write through this mount.
    var isReadOnly = false

    /// Completes a sentence that begins with what is not to be read; `nil` when nothing is against it.
    var objection: String? {
        if owner != user, owner != 0 { return "belongs to user \(owner), neither to this one nor to root" }
        // The sticky bit keeps others from deleting, not from making.
        if mode & S_IWOTH != 0, !isReadOnly { return "may be written by everybody" }
        return nil
    }
}
