#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The bytes of a file, or of all files in a directory and those below it. What is not there has none; symbolic links are
/// not followed, except `path` itself. What is deleted meanwhile does not count.
///
/// Unsafe here: a name that is no UTF-8 must count too, so names stay the bytes that the system gave.
func outputSize(at path: String) throws(UnreadableResource) -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else {
        if errno == ENOENT { return 0 }
        throw UnreadableResource(path)
    }
    guard status.isDirectory else { return Int(status.st_size) }
    var size = 0
    var directories = [Array(path.utf8CString.dropLast())]
    while let current = directories.popLast() {
        guard let directory = opendir(current + [0]) else {
            if errno == ENOENT { continue }
            throw UnreadableResource(String(decoding: current.map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 }.map(CChar.init(bitPattern:)) }
            let isItself = name == [0x2E] || name == [0x2E, 0x2E]
            guard !isItself, fstatat(dirfd(directory), name + [0], &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            if status.isDirectory { directories.append(current + [0x2F] + name) }
            if status.isRegularFile { size += Int(status.st_size) }
        }
    }
    return size
}

extension stat {
    fileprivate var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    fileprivate var isRegularFile: Bool { st_mode & S_IFMT == S_IFREG }
}
