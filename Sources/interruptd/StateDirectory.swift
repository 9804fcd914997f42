import Glibc
import InterruptCore

/// Where the daemon keeps what must outlive it: output files and the embedded Redis. Ours, mode 0700.
struct StateDirectory {
    let path: String

    /// `given`, else `/var/lib/interrupt` for root, `$XDG_STATE_HOME/interrupt` or `~/.local/state/interrupt` for others.
    init(_ given: String?, environment: [String: String]) throws {
        if let given {
            let absolute = given.hasPrefix("/") ? given : Self.workingDirectory + "/" + given
            path = "/" + absolute.split(separator: "/").joined(separator: "/")
        } else if geteuid() == 0 {
            path = "/var/lib/interrupt"
        } else if let base = environment["XDG_STATE_HOME"], base.hasPrefix("/") {
            path = base + (base.hasSuffix("/") ? "interrupt" : "/interrupt")
        } else if let home = environment["HOME"], home.hasPrefix("/") {
            path = home + (home.hasSuffix("/") ? ".local/state/interrupt" : "/.local/state/interrupt")
        } else {
            throw StartFailure(status: 64, message: "no state directory: HOME is not set", hint: "pass --state-dir DIR")
        }
        try Self.create(path)
    }

    /// A directory inside, made when it is missing.
    func directory(_ name: String) throws -> String {
        let directory = path + "/" + name
        try Self.create(directory)
        return directory
    }

    private static func create(_ path: String) throws {
        var parent = ""
        for part in path.split(separator: "/") {
            parent += "/" + part
            let isLast = parent == path
            if mkdir(parent, isLast ? 0o700 : 0o755) != 0, errno != EEXIST {
                throw StartFailure(status: 1, message: "cannot create \(parent): \(String(cString: strerror(errno)))")
            }
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw StartFailure(status: 1, message: "\(path) is not a directory")
        }
        guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
            throw StartFailure(
                status: 1,
                message: "\(path) can be written by others",
                hint: "make it yours with mode 0700, or pass another --state-dir"
            )
        }
    }

    private static var workingDirectory: String {
        guard let buffer = getcwd(nil, 0) else { return "" }
        defer { free(buffer) }
        return String(cString: buffer)
    }
}
