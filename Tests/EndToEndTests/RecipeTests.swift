import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import Testing

@Suite(.timeLimit(.minutes(2)))
struct `A recipe of Operations` {
    /// The commands under a heading of the document.
    private func commands(under heading: String) throws -> String {
        let path = String(#filePath.split(separator: "/Tests/")[0]) + "/Docs/Operations.md"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let section = try #require(text.components(separatedBy: "\n## ").first { $0.hasPrefix(heading + "\n") })
        let blocks = section.components(separatedBy: "```")
        return String(try #require(blocks.count == 3 ? blocks[1] : nil).dropFirst("bash".count))
    }

    @Test
    func `stops a job after three units of work, though it says nothing more`() async throws {
        let recipe = try commands(under: "Stop after some units of work")
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let script = "for n in 1 2 3; do echo done $n; sleep 0.1; done; sleep 300"
                _ = try await fleet.control("submit", "--id", "index", "--", "sh", "-c", script)
                let path = "\(Fleet.programs):\(ProcessInfo.processInfo.environment["PATH"] ?? "")"
                let result = try await Subprocess.run(
                    .name("timeout"),
                    arguments: ["30", "bash", "-euc", recipe],
                    environment: fleet.environment.updating(["PATH": path]),
                    output: .string(limit: 65_536),
                    error: .string(limit: 65_536)
                )
                #expect(result.terminationStatus.isSuccess, "\(result)")
                #expect(result.standardOutput.hasPrefix("done 1\ndone 2\ndone 3\n"))
                let record = try await fleet.wait(for: "index", .interrupted)
                #expect(record.message == "three are enough for a look")
                #expect(try await fleet.output(of: "index") == "done 1\ndone 2\ndone 3\n")
            }
        }
    }
}
