import Glibc
import InterruptCore
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct `A job that cannot be started` {
    @Test
    func `is said by run in one line on stderr, whatever the exit status`() async throws {
        try await withFleet { fleet in
            let script = "\(fleet.directory)/script"
            let descriptor = creat(script, 0o755)
            #expect(write(descriptor, "echo\n", 5) == 5)
            close(descriptor)
            try await fleet.worker("w1") { _ in
                let troubles: [(words: [String], status: Int32, text: String)] = [
                    (["--cwd", "/no/such/place", "--", "pwd"], 125, "the working directory '/no/such/place'"),
                    (["--", script], 126, "'\(script)' cannot be run"),
                    (["--", "no-such-program"], 127, "'no-such-program' was not found"),
                ]
                for trouble in troubles {
                    let result = try await fleet.control(["run"] + trouble.words)
                    #expect(result.exitCode == trouble.status, "\(result)")
                    #expect(result.text.isEmpty)
                    #expect(result.errors.hasPrefix("error: ") && result.errors.contains(trouble.text), "\(result)")
                    #expect(result.errors.split(separator: "\n").count == 1)
                    let json = try await fleet.control(["run", "-o", "json"] + trouble.words)
                    #expect(json.exitCode == trouble.status)
                    #expect(json.errors.hasPrefix("{") && json.errors.split(separator: "\n").count == 1)
                }
                let failed = try await fleet.control("run", "--", "false")
                #expect(failed.exitCode == 1 && failed.errors.isEmpty, "a job's own failure is the job's to explain")
            }
        }
    }
}
