import Foundation
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(2)))
struct `The output of an attached run` {
    @Test
    func `is read no further than somebody wants it`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "2"]) { _ in
                _ = try await fleet.control(
                    "submit",
                    "--id",
                    "endless",
                    "--",
                    "sh",
                    "-c",
                    "while echo line; do sleep 0.01; done"
                )
                for command in ["logs -f endless", "watch -o json"] {
                    let script = "'\(Fleet.programs)/interruptctl' \(command) | head -n 1"
                    async let finished = run(
                        .path("/bin/sh"),
                        arguments: ["-c", script],
                        environment: fleet.environment,
                        output: .string(limit: 1_000),
                        error: .string(limit: 1_000)
                    )
                    if command.hasPrefix("watch") {
                        try await eventually("it listens") {
                            let reply = try await fleet.redis.command("PUBSUB", "NUMSUB", "interrupt:events")
                            return reply.array?.last?.integer ?? 0 > 0
                        }
                        for _ in 0..<20 { _ = try await fleet.control("run", "--", "true") }
                    }
                    let result = try await finished
                    #expect(result.standardOutput.split(separator: "\n").count == 1, "\(result)")
                    #expect(result.standardError.isEmpty, "\(result)")
                }
                #expect(try await fleet.control("kill", "endless").exitCode == 0)
            }
        }
    }

    @Test
    func `is the command's own, byte for byte, however fast it writes`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let result = try await fleet.control("run", "--", "seq", "1", "1000000")
                #expect(result.exitCode == 0)
                #expect(result.errors == "")
                let expected = (1...1_000_000).map { "\($0)\n" }.joined()
                #expect(result.text.utf8.count == expected.utf8.count)
                let isEqual = result.text == expected  // not in the expectation, which would print both
                #expect(isEqual)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(2)))
struct `The output of a run on its worker` {
    private let length = 40_000_000

    /// A command that writes `length` bytes, the last of them `LAST`.
    private var flood: [String] { ["--", "sh", "-c", "head -c \(length - 4) /dev/zero; printf LAST"] }

    @Test
    func `is kept within its limit, its end in the file itself, and logs says where`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--output-limit", "1M"]) { _ in
                _ = try await fleet.control(["submit", "--id", "flood"] + flood)
                let record = try await fleet.wait(for: "flood", .completed)
                let file = try #require(record.outputFile)
                let (newest, previous) = (try size(of: file), try size(of: file + ".1"))
                #expect(newest + previous <= 1 << 20 + 2 * 65_536 && newest + previous >= 1 << 19)
                #expect(try Data(contentsOf: URL(filePath: file)).suffix(4) == Data("LAST".utf8))
                let start = try #require(record.outputKeptFrom)
                #expect(record.outputBytes == Int64(length) && start > Int64(length - 2 << 20))
                let logs = try await fleet.control("logs", "flood")
                #expect(logs.text.hasSuffix("LAST"))
                #expect(logs.errors.contains(":\(file) on worker 'w1' and the one before, with .1"), "\(logs.errors)")
                #expect(logs.errors.contains("have what is from byte \(start) on"), "\(logs.errors)")
            }
        }
    }

    @Test
    func `is removed by a worker that starts when all together is too much, and logs says so`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control(["submit", "--id", "flood"] + flood)
                try await fleet.wait(for: "flood", .completed)
                #expect(try await fleet.control("logs", "flood").errors.contains(".log on worker 'w1' has everything"))
            }
            try await fleet.worker("w1", ["--keep-output-size", "1M"]) { _ in
                try await fleet.log(of: "w1", has: "removed old output files")
                let logs = try await fleet.control("logs", "flood")
                #expect(logs.errors.contains(".log on worker 'w1' has been removed"), "\(logs.errors)")
            }
        }
    }

    private func size(of file: String) throws -> Int { try Data(contentsOf: URL(filePath: file)).count }
}
