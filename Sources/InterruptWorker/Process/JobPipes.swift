internal import Glibc
internal import InterruptCore
internal import SystemPackage

/// The descriptors of one run: two pipes of our own and `/dev/null`.
///
/// A grandchild that holds one of the pipes open does not hold up the run's end: nobody waits for theirs.
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

    /// Closes what the child has now.
    func closeChildEnds() {
        for descriptor in [input, output.write, error.write] { close(descriptor) }
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
    /// Says what the launcher could not do, in terms of the order. The program was there a moment ago.
    init(_ step: LaunchedTree.Event.Step, _ errno: Errno, program: FilePath, directory: FilePath?) {
        let shown = program.string.escapedForDisplay(limit: 200)
        switch (step, errno) {
        case (.directory, _):
            let directory = (directory?.string ?? "").escapedForDisplay(limit: 200)
            self.init(text: "the working directory '\(directory)' cannot be used: \(errno)")
        case (.exec, .noSuchFileOrDirectory):
            self.init(exitCode: 126, text: "'\(shown)' cannot be run: its interpreter is missing or not executable")
        case (.exec, .execFormatError):
            self.init(exitCode: 126, text: "'\(shown)' cannot be run: neither a program nor a script with a '#!' line")
        case (.exec, _): self.init(exitCode: 126, text: "'\(shown)' cannot be run: \(errno)")
        case (.cgroup, _): self.init(text: "no cgroup could be made for '\(shown)': \(errno)")
        case (.fence, _): self.init(text: "'\(shown)' was not started: its worker's lease is over")
        case (.fork, _), (.spec, _): self.init(text: "'\(shown)' could not be started: \(errno)")
        }
    }
}
