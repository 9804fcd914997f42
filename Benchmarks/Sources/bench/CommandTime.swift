import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage

/// `interruptctl cancel --no-wait` as a whole process, against `interruptctl --version`. The programs are those of
/// `INTERRUPT_BIN`, a directory; `Scripts/bench` sets it.
enum CommandTime {
    static let count = 200

    static func run() async throws {
        guard let directory = getenv("INTERRUPT_BIN").map({ String(cString: $0) }) else {
            return print("skipped: INTERRUPT_BIN names no directory")
        }
        let program = Executable.path(FilePath(directory).appending("interruptctl"))
        var version = Sample()
        var cancel = Sample()
        try await withWorker(slots: 4) { client, redis in
            let environment = Environment.inherit.updating(["INTERRUPT_REDIS_URL": "unix://\(redis.socketPath)"])
            for number in 0..<count {
                version.add(try await time(program, ["--version"], environment))
                let job = try Name("command-\(number)")
                let submission = Submission(
                    job: job,
                    queue: try Name("default"),
                    command: [Array("sleep".utf8), [0x39, 0x39]]
                )
                _ = try await client.submit(submission)
                cancel.add(try await time(program, ["cancel", job.description, "--no-wait"], environment))
                _ = try await client.ending(of: job)
            }
        }
        print(version.line("interruptctl --version"))
        print(cancel.line("interruptctl cancel JOB --no-wait"))
        print("ratio of the medians: \(rounded(cancel.percentile(50) / version.percentile(50)))")
    }

    private static func time(
        _ program: Executable,
        _ arguments: Arguments,
        _ environment: Environment
    ) async throws -> UInt64 {
        let start = monotonicNanoseconds()
        let result = try await Subprocess.run(
            program,
            arguments: arguments,
            environment: environment,
            input: .none,
            output: .discarded,
            error: .discarded
        )
        let end = monotonicNanoseconds()
        guard result.terminationStatus.isSuccess else { fatalError("\(arguments): \(result.terminationStatus)") }
        return end - start
    }
}
