import Glibc
import SystemPackage

/// Where a path really leads, and whether that is below a directory.
enum ConfinedPath {
    struct Problem: Error, Equatable {
        let text: String
    }

    /// The path with `.`, `..` and every symbolic link resolved. What does not exist yet is kept as it is written.
    ///
    /// The command gets this path, not the one that was given, so that both mean the same file. Whoever can replace a
    /// directory below `root` by a link between this look and the command's can still lead it elsewhere.
    ///
    /// - Throws: ``Problem`` as the end of a sentence that begins with the path.
    static func resolved(_ path: String, under root: String) throws(Problem) -> String {
        guard path.utf8.first == UInt8(ascii: "/") else { throw Problem(text: "is not an absolute path") }
        guard !path.utf8.contains(0) else { throw Problem(text: "contains a NUL byte") }
        guard path.utf8.count < Int(PATH_MAX) else { throw Problem(text: "is longer than \(PATH_MAX - 1) bytes") }
        guard let base = real(root) else {
            throw Problem(text: "cannot be checked: \(root): \(Errno(rawValue: errno))")
        }
        let real = try followed(FilePath(path).lexicallyNormalized())
        guard real == base || FilePath(real).starts(with: FilePath(base)) else {
            throw Problem(text: "is not under \(root)")
        }
        return real
    }

    private static func followed(_ path: FilePath) throws(Problem) -> String {
        var existing = path
        var missing: [FilePath.Component] = []
        while true {
            if let real = real(existing.string) {
                return FilePath(real).appending(missing.reversed()).string
            }
            let why = errno
            guard why == ENOENT else { throw Problem(text: "cannot be used: \(Errno(rawValue: why))") }
            var status = stat()
            // There, and yet leading nowhere: what is written there would come into being elsewhere.
            guard lstat(existing.string, &status) != 0 else { throw Problem(text: "is or contains a link to nowhere") }
            guard let last = existing.lastComponent else {
                throw Problem(text: "cannot be used: \(Errno(rawValue: why))")
            }
            missing.append(last)
            existing.removeLastComponent()
        }
    }

    private static func real(_ path: String) -> String? {
        guard let buffer = realpath(path, nil) else { return nil }
        defer { free(buffer) }
        return String(validatingCString: buffer)
    }
}
