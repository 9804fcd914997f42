import FoundationEssentials

/// Writes a file that only its owner may read, and returns its path.
package func writeSecret(_ text: String, to path: String) throws -> String {
    let isWritten = FileManager.default.createFile(
        atPath: path,
        contents: Data(text.utf8),
        attributes: [.posixPermissions: 0o600]
    )
    if !isWritten { throw CocoaError(.fileWriteUnknown) }
    return path
}
