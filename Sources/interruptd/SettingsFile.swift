import Glibc
import InterruptCore

/// The files of settings: read once, bounded, and only when nobody else can write them.
enum SettingsFile {
    private static let maximumSize = 1 << 20

    /// - Throws: ``InvalidSetting`` that names the file.
    static func read(_ path: String) throws(InvalidSetting) -> SettingsSource {
        try SettingsSource(yaml: try text(of: path, flag: "--config"), file: path.escapedForDisplay())
    }

    /// - Parameter flag: that has named the file.
    static func text(of path: String, flag: String) throws(InvalidSetting) -> String {
        let shown = "\(flag) \(path.escapedForDisplay())"
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw InvalidSetting("\(shown): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw InvalidSetting("\(shown): not a regular file")
        }
        guard status.st_mode & 0o022 == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
            throw InvalidSetting("\(shown): others can write it; make it yours with mode 0600 or 0644")
        }
        guard status.st_size <= maximumSize else {
            throw InvalidSetting("\(shown): \(status.st_size) bytes, at most \(maximumSize) are read")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let count = Glibc.read(file, &bytes, bytes.count)
        guard count >= 0, let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
            throw InvalidSetting("\(shown): not UTF-8 text")
        }
        return text
    }
}
