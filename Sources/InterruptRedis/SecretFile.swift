import Glibc
import InterruptCore

/// A file that holds a secret: one line that not every user of the machine may read.
struct SecretFile {
    /// The most bytes that are read.
    static let maximumSize = 4_096

    let path: String
    /// As messages call it: `password file`.
    let name: String

    /// The password in a file.
    static func password(in path: String) throws(SettingsError) -> String {
        let file = SecretFile(path: path, name: "password file")
        guard let password = String(validating: try file.read(), as: UTF8.self) else {
            throw file.refused("is not UTF-8 text")
        }
        return password
    }

    /// What is in the file, without the end of its line. Never empty.
    ///
    /// - Throws: ``SettingsError`` with the file's name and never with what is in it.
    func read() throws(SettingsError) -> [UInt8] {
        // Not blocking: a FIFO that nobody writes must not hang the program.
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw refused(errno == ELOOP ? "is a symbolic link" : String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw refused("is not a regular file")
        }
        guard status.st_uid == geteuid() || status.st_uid == 0 else {
            throw refused("it belongs to user \(status.st_uid), not to root or the user of this program")
        }
        guard status.st_mode & 0o007 == 0 else {
            throw refused("every user of this machine may read or change it", hint: "run 'chmod 600 \(shownPath)'")
        }
        guard status.st_mode & 0o020 == 0 else {
            throw refused("others than its owner may change it", hint: "run 'chmod g-w \(shownPath)'")
        }
        var bytes = [UInt8](repeating: 0, count: Self.maximumSize + 1)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw refused(String(cString: strerror(errno))) }
        guard count <= Self.maximumSize else { throw refused("is longer than \(Self.maximumSize) bytes") }
        bytes.removeSubrange(count...)
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw refused("is empty") }
        return bytes
    }

    /// The error for a file that cannot be used.
    func refused(_ why: String, hint: String? = nil) -> SettingsError {
        SettingsError(.refused, "\(name) \(shownPath): \(why)", hint: hint)
    }

    private var shownPath: String { path.escapedForDisplay() }
}
