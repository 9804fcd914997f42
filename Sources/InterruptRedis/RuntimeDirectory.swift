import Glibc
import InterruptCore

/// The directory where the embedded server of this user puts its socket, and where both programs look for it.
///
/// `$XDG_RUNTIME_DIR/interrupt`, else `/run/user/UID/interrupt` where that is usual, else `/tmp/interrupt-UID`. It must
/// be ours, closed to others and no symbolic link: whoever owns the socket can run commands as us.
public struct RuntimeDirectory: Hashable, Sendable {
    /// The directory. It need not exist.
    public let path: String
    private let owner: UInt32

    /// A directory at `path` that belongs to `owner`.
    init(path: String, owner: UInt32) {
        self.path = path
        self.owner = owner
    }

    /// Finds out where the directory is; creates and checks nothing.
    public static func locate(environment: [String: String]) -> RuntimeDirectory {
        let user = geteuid()
        // The base directory specification says to ignore a path that is not absolute.
        if let base = environment["XDG_RUNTIME_DIR"], base.hasPrefix("/") {
            return RuntimeDirectory(path: base + (base.hasSuffix("/") ? "interrupt" : "/interrupt"), owner: user)
        }
        let usual = "/run/user/\(user)"
        var status = stat()
        if lstat(usual, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == user {
            return RuntimeDirectory(path: usual + "/interrupt", owner: user)
        }
        return RuntimeDirectory(path: "/tmp/interrupt-\(user)", owner: user)
    }

    /// Creates the directory with mode 0700 unless it is there, and checks it.
    ///
    /// - Throws: ``SettingsError`` when it cannot be made, or is not ours, open to others or a symbolic link.
    public func create() throws(SettingsError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            let why = String(cString: strerror(errno))
            throw SettingsError(
                .refused,
                "cannot create the runtime directory \(path.escapedForDisplay()): \(why)",
                hint: "set XDG_RUNTIME_DIR to a directory of your own"
            )
        }
        guard try exists() else {
            throw SettingsError(.refused, "the runtime directory \(path.escapedForDisplay()) is gone again")
        }
    }

    /// Whether the directory is there.
    ///
    /// - Throws: ``SettingsError`` when something is there that must not be trusted.
    public func exists() throws(SettingsError) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        let problem: String? =
            switch status.st_mode & S_IFMT {
            case S_IFLNK: "is a symbolic link"
            case S_IFDIR where status.st_uid != owner: "belongs to user \(status.st_uid), not to \(owner)"
            case S_IFDIR where status.st_mode & 0o077 != 0: "is open to other users"
            case S_IFDIR: nil
            default: "is not a directory"
            }
        guard let problem else { return true }
        throw SettingsError(
            .refused,
            "the runtime directory \(path.escapedForDisplay()) \(problem)",
            hint: "remove it or make it yours with mode 0700, or pass --redis URL"
        )
    }

    /// The socket of the embedded server for a namespace.
    public func socketPath(namespace: String) -> String { "\(path)/\(Self.fileName(namespace)).sock" }

    /// The lock that says who owns the embedded server for a namespace.
    public func lockPath(namespace: String) -> String { "\(path)/\(Self.fileName(namespace)).lock" }

    /// What files of a namespace are called. Braces mean something to shells; the character in their place is in no namespace,
    /// so that no two share a file.
    package static func fileName(_ namespace: String) -> String {
        String(namespace.map { "{}".contains($0) ? "=" : $0 })
    }
}
