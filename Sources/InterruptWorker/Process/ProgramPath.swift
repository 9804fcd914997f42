public import InterruptCore
public import SystemPackage

extension ProcessRunner {
    /// The file that would run for `order`: found in the job's `PATH`, or relative to its directory; `nil` when nothing can
    /// be started. Looks at the file system, starts nothing.
    public func program(of order: RunOrder) -> FilePath? {
        // Why it cannot be started is said when it is.
        guard let command = try? JobCommand(order, baseEnvironment: baseEnvironment) else { return nil }
        guard command.program.isRelative, let directory = command.directory else { return command.program }
        return directory.pushing(command.program)
    }
}
