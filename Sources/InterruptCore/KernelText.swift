#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The first `limit` bytes of a file that the kernel makes as it is read; `nil` when there are none or it cannot be read.
///
/// Unsafe here: the system's calls take a pointer, to memory that lives as long as the call.
package func kernelText(of path: String, limit: Int = 4_096) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    return withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { buffer in
        // Most of these files come in one piece; long lists do not.
        var count = 0
        while count < limit, let start = buffer.baseAddress {
            let more = read(file, start + count, limit - count)
            if more <= 0 { break }
            count += more
        }
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }
}
