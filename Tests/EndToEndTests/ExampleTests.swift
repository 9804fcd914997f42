import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(1))) struct `An example` {
    private static let outputs: [(String, [String])] = [
        (
            "direct",
            ["resized image 1", "resized image 2", "resized image 3", "stopped: three are enough, asked by ann"]
        ),
        (
            "time-limit",
            [
                "waiting for an answer", "half of the time is over",
                "stopped: timeout: Execution exceeded 2s timeout",
            ]
        ),
        (
            "cleanup",
            [
                "license taken", "model 7 loaded", "partial result saved", "license given back", "stopped: enough",
            ]
        ),
        ("file-source", ["at work", "stopped: user_cancelled"]),
        ("detailed-json", ["at work", "stopped: priority_override, make room, asked by scheduler"]),
        ("in-memory-store", ["at work", "stopped: not needed any more"]),
        ("combined", ["at work", "watch degraded: interrupts/nightly.signal", "stopped: system_shutdown, by SIGTERM"]),
        (
            "partial-results",
            [
                "page 1: text of page 1", "page 3: text of page 3",
                "Returning partial results: 2/8 tasks completed (25.0%)", "page 2 failed: the page is broken",
                "page 4 was being read", "page 5 was not begun", "page 6 was not begun", "page 7 was not begun",
                "page 8 was not begun",
            ]
        ),
    ]

    @Test(arguments: outputs) func `says what it is said to say`(name: String, lines: [String]) async throws {
        let result = try await Subprocess.run(
            .path(Fleet.programs.appending(name)),
            output: .string(limit: 10_000),
            error: .string(limit: 10_000)
        )
        #expect(result.terminationStatus == .exited(0), "\(result.standardError)")
        let output = result.standardOutput
        #expect(output.split(separator: "\n").map(String.init) == lines)
    }
}

@Suite(.timeLimit(.minutes(2))) struct `An example with its run directory` {
    private static let commands = [
        "\(sources)/job.sh", "\(sources)/job.py", Fleet.programs.appending("run-directory").string,
    ]

    private static var sources: String {
        var path = FilePath(#filePath)
        for _ in 0..<3 { path.removeLastComponent() }
        return path.appending("Examples/run-directory").string
    }

    @Test(arguments: commands)
    func `tells how far it is, asks for more time and saves its place`(command: String) async throws {
        try await withFleet { fleet in
            // Each saves for longer than this.
            try await fleet.worker("w1", ["--grace", "3s"]) { _ in
                let submitted = try await fleet.control("submit", "--id", "job", "--env", "PAGES=1000", "--", command)
                #expect(submitted.exitCode == 0, "\(submitted)")
                let client = try await fleet.client
                let job = try Name("job")
                try await eventually("it tells") { try await client.newestRun(of: job)?.progress?.message != nil }
                let cancelled = try await fleet.control("cancel", "job", "--reason", "priority_override")
                #expect(cancelled.exitCode == 0, "\(cancelled)")
                #expect(cancelled.text.contains("it asked for more time and has "), "\(cancelled)")
                let record = try #require(try await client.newestRun(of: job))
                #expect(record.state == .interrupted && record.exitCode == 0)
                #expect(record.checkpoint?.hasPrefix("page ") == true)
                #expect(record.moreTime > .seconds(15) && record.moreTime <= .seconds(20))
                let output = try await fleet.output(of: "job")
                #expect(output.contains("asked to end: priority_override, until 2"), "\(output)")
                #expect(output.contains("saved page "), "\(output)")
                let history = try await fleet.control("history", "job").text
                #expect(history.contains("more, as it asked") && history.contains("\"page "), "\(history)")
                let status = try await fleet.control("status", "job").text
                #expect(status.contains("Checkpoint") && status.contains("as the job asked"), "\(status)")
            }
        }
    }
}
