import Glibc

// The unsafe code here writes into the process's own arguments: the memory that the system shows to every user of the
// machine as the command line. Only bytes inside an argument are changed, before any other thread is there.

/// Overwrites the password of a URL in `--redis` among the arguments of this process, so that `ps` does not show it.
package enum HiddenPassword {
    /// To be called first of all. `CommandLine.arguments` keeps what was given.
    package static func hide() {
        let arguments = CommandLine.arguments  // a copy
        for index in arguments.indices.dropFirst() {
            guard arguments[index].hasPrefix("--redis=") || arguments[index - 1] == "--redis",
                let range = range(in: arguments[index]), let pointer = CommandLine.unsafeArgv[index]
            else { continue }
            for offset in range { pointer[offset] = CChar(UInt8(ascii: "*")) }
        }
    }

    /// Where the password of a URL is, in bytes; `nil` when it has none.
    static func range(in text: String) -> Range<Int>? {
        let bytes = Array(text.utf8)
        // The last @ ends the credentials, as where the URL is read.
        guard let scheme = text.firstRange(of: "://"), let end = bytes.lastIndex(of: UInt8(ascii: "@")) else {
            return nil
        }
        let begin = text.utf8.distance(from: text.startIndex, to: scheme.upperBound)
        guard begin < end, let colon = bytes[begin..<end].firstIndex(of: UInt8(ascii: ":")) else { return nil }
        return colon + 1..<end
    }
}
