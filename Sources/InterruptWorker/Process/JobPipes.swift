internal import Glibc
internal import InterruptCore
internal import Subprocess
internal import SystemPackage

/// The descriptors of one run: two pipes of our own and `/dev/null`.
///
/// The pipes are not swift-subprocess's, because a grandchild that holds one open must not hold up the run's end.
struct JobPipes {
    /// `/dev/null`, for the child.
    let input: Int32
    /// Standard output: `read` is ours and non-blocking, `write` is for the child.
    let output: (read: Int32, write: Int32)
    /// Standard error, likewise.
    let error: (read: Int32, write: Int32)

    /// Opens all five, or none.
    init() throws(Errno) {
        var opened: [Int32] = []
        do throws(Errno) {
            input = try Self.checked(open("/dev/null", O_RDONLY | O_CLOEXEC))
            opened.append(input)
            output = try Self.pipe()
            opened += [output.read, output.write]
            error = try Self.pipe()
        } catch {
            for descriptor in opened { close(descriptor) }
            throw error
        }
    }

    private static func pipe() throws(Errno) -> (read: Int32, write: Int32) {
        let ends = try FileDescriptor.pipe(options: .closeOnExec)
        // The two ends have flags of their own: the child's stays blocking.
        _ = fcntl(ends.readEnd.rawValue, F_SETFL, O_NONBLOCK)
        return (ends.readEnd.rawValue, ends.writeEnd.rawValue)
    }

    private static func checked(_ result: Int32) throws(Errno) -> Int32 {
        guard result >= 0 else { throw Errno(rawValue: errno) }
        return result
    }
}

extension SpawnFailure {
    /// Says what swift-subprocess could not do, in terms of the order. The program was there a moment ago.
    init(_ error: any Error, program: FilePath, directory: FilePath?) {
        let shown = program.string.escapedForDisplay(limit: 200)
        guard let error = error as? SubprocessError else {
            self.init(text: "'\(shown)' could not be started: \(error)")
            return
        }
        switch (error.code, error.underlyingError) {
        case (.executableNotFound, _):
            self.init(exitCode: 126, text: "'\(shown)' cannot be run: its interpreter is missing or not executable")
        case (.failedToChangeWorkingDirectory, let errno):
            let directory = (directory?.string ?? "").escapedForDisplay(limit: 200)
            let why = errno.map { "\($0)" } ?? "it was not accepted"
            self.init(text: "the working directory '\(directory)' cannot be used: \(why)")
        case (_, .execFormatError?):
            self.init(exitCode: 126, text: "'\(shown)' cannot be run: neither a program nor a script with a '#!' line")
        case (_, .argListTooLong?), (_, .permissionDenied?), (_, .textFileBusy?):
            let why = error.underlyingError.map { "\($0)" } ?? ""
            self.init(exitCode: 126, text: "'\(shown)' cannot be run: \(why)")
        case (_, let errno):
            self.init(text: "'\(shown)' could not be started: \(errno.map { "\($0)" } ?? "\(error)")")
        }
    }
}
