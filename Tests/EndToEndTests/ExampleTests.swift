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
                "stopped: timeout: Execution exceeded 0.2s timeout",
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
