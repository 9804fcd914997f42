internal import Glibc
internal import InterruptCore
internal import SystemPackage

/// Why a run could not be started.
struct SpawnFailure: Error, Equatable, CustomStringConvertible {
    /// What a shell would answer: 127 not found, 126 found but not executable; `nil` for what has no such number.
    var exitCode: Int32?
    /// One sentence: what failed, with which value, why.
    var text: String

    var description: String { text }

    /// The ending that goes on record.
    var ending: RunEnding { RunEnding(state: .failed, exitCode: exitCode, error: text) }
}

/// What is handed to the kernel to start a run: found program, exact arguments, clean environment.
struct JobCommand: Equatable {
    /// The program's file.
    let program: FilePath
    /// The arguments with the program's name as it was asked, each ending with a NUL.
    let arguments: [[UInt8]]
    /// `NAME=value` entries, each ending with a NUL.
    let environment: [[UInt8]]
    /// The working directory; `nil` is the worker's own.
    let directory: FilePath?

    /// Checks all that can be said before spawning.
    init(
        _ order: RunOrder,
        baseEnvironment: [String: String],
        runDirectory: FilePath? = nil
    ) throws(SpawnFailure) {
        guard case .command(let words) = order.work, let name = words.first, !name.isEmpty else {
            throw SpawnFailure(text: "the command is empty: it needs a program at least")
        }
        guard !words.contains(where: { $0.contains(0) }) else {
            throw SpawnFailure(text: "an argument contains a NUL byte, which no program can be given")
        }
        let variables = JobEnvironment.variables(of: order, base: baseEnvironment, runDirectory: runDirectory)
        environment = try Self.entries(variables)
        directory = try Self.checked(order.directory)
        arguments = words.map { $0 + [0] }
        program = try Self.find(name, path: variables["PATH"] ?? [], directory: directory)
    }

    private static func entries(_ variables: [String: [UInt8]]) throws(SpawnFailure) -> [[UInt8]] {
        var entries: [[UInt8]] = []
        let names = variables.keys.sorted()
        // Ours first: they are looked for in the first part of a process's environment.
        let (ours, others) = (names.filter(isOurs), names.filter { !isOurs($0) })
        for name in ours + others {
            let value = variables[name] ?? []
            let isDigitFirst = name.utf8.first.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? true
            guard !isDigitFirst, !name.utf8.contains(0), !name.contains("="), !value.contains(0) else {
                let shown = name.escapedForDisplay(limit: 60)
                throw SpawnFailure(text: "the variable '\(shown)' cannot be set: not a name, or a NUL in it")
            }
            entries.append(Array(name.utf8) + [UInt8(ascii: "=")] + value + [0])
        }
        return entries
    }

    private static func isOurs(_ name: String) -> Bool { name.hasPrefix("INTERRUPT_") }

    private static func checked(_ directory: String?) throws(SpawnFailure) -> FilePath? {
        guard let directory else { return nil }
        let shown = directory.escapedForDisplay(limit: 200)
        guard !directory.utf8.contains(0) else {
            throw SpawnFailure(text: "the working directory '\(shown)' contains a NUL byte")
        }
        var status = stat()
        guard stat(directory, &status) == 0 else {
            throw SpawnFailure(text: "the working directory '\(shown)' cannot be used: \(Errno(rawValue: errno))")
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw SpawnFailure(text: "the working directory '\(shown)' is not a directory")
        }
        guard faccessat(AT_FDCWD, directory, X_OK, AT_EACCESS) == 0 else {
            throw SpawnFailure(text: "the working directory '\(shown)' cannot be used: \(Errno(rawValue: errno))")
        }
        return FilePath(directory)
    }

    /// Finds the program as a shell does, in the job's `PATH`; relative entries of it are skipped.
    private static func find(_ name: [UInt8], path: [UInt8], directory: FilePath?) throws(SpawnFailure) -> FilePath {
        guard let text = String(validating: name, as: UTF8.self) else {
            let shown = String(decoding: name, as: UTF8.self).escapedForDisplay(limit: 200)
            throw SpawnFailure(exitCode: 127, text: "the program's name '\(shown)' is not UTF-8, which is needed here")
        }
        let shown = text.escapedForDisplay(limit: 200)
        if text.contains("/") {
            // Relative to the job's directory, as the child will see it.
            let program = FilePath(text)
            let seen = program.isRelative ? directory.map { FilePath("\($0)/\(text)") } ?? program : program
            if let problem = problem(running: seen) {
                let code: Int32 = problem == .noSuchFileOrDirectory || problem == .notDirectory ? 127 : 126
                throw SpawnFailure(exitCode: code, text: "'\(shown)' cannot be run: \(problem)")
            }
            return program
        }
        var firstProblem: Errno?
        for entry in path.split(separator: UInt8(ascii: ":")) where entry.first == UInt8(ascii: "/") {
            let program = FilePath("\(String(decoding: entry, as: UTF8.self))/\(text)")
            guard let problem = problem(running: program) else { return program }
            if problem != .noSuchFileOrDirectory, problem != .notDirectory { firstProblem = firstProblem ?? problem }
        }
        if let firstProblem { throw SpawnFailure(exitCode: 126, text: "'\(shown)' cannot be run: \(firstProblem)") }
        throw SpawnFailure(exitCode: 127, text: "'\(shown)' was not found in the job's PATH")
    }

    private static func problem(running program: FilePath) -> Errno? {
        var status = stat()
        guard stat(program.string, &status) == 0 else { return Errno(rawValue: errno) }
        guard status.st_mode & S_IFMT != S_IFDIR else { return .isDirectory }
        guard status.st_mode & S_IFMT == S_IFREG else { return .permissionDenied }
        guard faccessat(AT_FDCWD, program.string, X_OK, AT_EACCESS) == 0 else { return Errno(rawValue: errno) }
        return nil
    }
}

/// Puts a job's environment together: a clean base, what the order sets, and who the job is.
enum JobEnvironment {
    private static let inherited: Set<String> = [
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR",
    ]
    private static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The variables of a job. Of the worker's own only a few pass, never one that begins with `INTERRUPT_`.
    static func variables(
        of order: RunOrder,
        base: [String: String],
        runDirectory: FilePath? = nil
    ) -> [String: [UInt8]] {
        var result = ["PATH": Array(defaultPath.utf8)]
        for (name, value) in base where inherited.contains(name) || name.hasPrefix("LC_") {
            result[name] = Array(value.utf8)
        }
        result.merge(order.environment) { _, asked in asked }
        result["INTERRUPT_JOB"] = Array("\(order.job)".utf8)
        result["INTERRUPT_RUN"] = Array(order.run.rawValue.utf8)
        result["INTERRUPT_ATTEMPT"] = Array("\(order.attempt)".utf8)
        result["INTERRUPT_RUN_DIR"] = runDirectory.map { Array($0.string.utf8) }
        return result
    }
}
