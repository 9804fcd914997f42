import Glibc
import InterruptCore

/// The words of the command line as bytes. What stands after `--` need not be text: it goes to the job as it is.
struct RawArguments: Equatable {
    /// The words before the first `--`.
    let options: [[UInt8]]
    /// The words after it; `nil` when there is no `--`.
    let command: [[UInt8]]?

    init(_ words: [[UInt8]]) {
        if let terminator = words.firstIndex(of: Array("--".utf8)) {
            options = Array(words[..<terminator])
            command = Array(words[(terminator + 1)...])
        } else {
            options = words
            command = nil
        }
    }

    /// This process's own, without the program's name.
    static let ofProcess: RawArguments = {
        let words = (1..<max(1, Int(CommandLine.argc))).map { index -> [UInt8] in
            guard let word = CommandLine.unsafeArgv[index] else { return [] }
            return Array(UnsafeRawBufferPointer(start: word, count: strlen(word)))
        }
        return RawArguments(words)
    }()

    /// All words as text for the parser; in the command, what is not text is replaced.
    ///
    /// - Throws: when a word before `--` is not UTF-8.
    func texts() throws(CommandFailure) -> [String] {
        var texts: [String] = []
        for (index, word) in options.enumerated() {
            guard let text = String(validating: word, as: UTF8.self) else {
                throw CommandFailure(
                    .usage,
                    "argument \(index + 1) is not valid UTF-8 text: "
                        + String(decoding: word, as: UTF8.self).escapedForDisplay(limit: 80),
                    hint: "only the command after '--' may hold other bytes"
                )
            }
            texts.append(text)
        }
        if let command { texts += ["--"] + command.map { String(decoding: $0, as: UTF8.self) } }
        return texts
    }
}
