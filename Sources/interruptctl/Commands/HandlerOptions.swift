import ArgumentParser
import Glibc
import InterruptCore

/// A Swift function of the worker's program, in place of a command.
struct HandlerOptions: ParsableArguments {
    @Option(
        name: .customLong("handler"),
        help: ArgumentHelp("A function of the worker's own program, in place of a command.", valueName: "name"),
        transform: Parse.name
    )
    var names: [Name] = []

    @Option(
        name: .customLong("input"),
        help: ArgumentHelp("What the handler is given, 128 KiB at most.", valueName: "text")
    )
    var texts: [String] = []

    @Option(
        name: .customLong("input-file"),
        help: ArgumentHelp("A file with what the handler is given; - is standard input.", valueName: "file"),
        completion: .file()
    )
    var files: [String] = []

    /// The handler; `nil` is a command.
    var name: Name? { names.first }

    func validate() throws {
        if names.count > 1 {
            throw ValidationError("--handler is given \(names.count) times: a run has one handler.")
        }
        if texts.count + files.count > 1 {
            throw ValidationError(
                "The input is given \(texts.count + files.count) times: once by --input or --input-file."
            )
        }
        if names.isEmpty, !(texts.isEmpty && files.isEmpty) {
            throw ValidationError("--input and --input-file are for a handler: name it with --handler.")
        }
        if let text = texts.first, text.utf8.count > Self.limit { throw ValidationError(Self.tooLong + ".") }
    }

    /// What the handler is given; empty if nothing was said. Waits for the end of a file.
    func readInput() throws(CommandFailure) -> String {
        if let text = texts.first { return text }
        guard let file = files.first else { return "" }
        let shown = file == "-" ? "standard input" : "'\(file.escapedForDisplay(limit: 200))'"
        func failure(_ code: Int32) -> CommandFailure {
            CommandFailure(.failed, "the input cannot be read from \(shown): \(String(cString: strerror(code)))")
        }
        let descriptor = file == "-" ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= Self.limit {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { break }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(errno) }
            bytes += buffer[..<count]
        }
        if bytes.count > Self.limit { throw CommandFailure(.usage, Self.tooLong) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(
                .usage,
                "the input from \(shown) is not UTF-8 text",
                hint: "encode it, as Base64 for instance"
            )
        }
        return text
    }

    private static let limit = RunOrder.Work.maximumInputSize
    private static let tooLong =
        "The input is longer than \(limit) bytes, the most that is taken: put it into a file and pass the file's name"
}
