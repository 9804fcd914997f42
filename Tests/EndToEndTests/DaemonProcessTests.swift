import Foundation
import Glibc
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct `The daemon's process` {
    @Test func `survives 100,000 signals that mean something to other daemons`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { daemon in
                async let job = fleet.control("run", "--", "sh", "-c", "sleep 1; echo well")
                for round in 0..<100_000 { try #require(kill(daemon, round % 2 == 0 ? SIGUSR1 : SIGUSR2) == 0) }
                #expect(try await job.text == "well\n")
            }
        }
    }

    @Test func `does not show the password of a URL among its arguments`() async throws {
        try await withFleet { fleet in
            // A user without a password accepts any.
            let url = "redis+unix://default:canary@\(fleet.redis.socketPath)"
            try await fleet.worker("w1", ["--redis", url]) { daemon in
                let shown = try String(contentsOfFile: "/proc/\(daemon)/cmdline", encoding: .utf8)
                #expect(shown.contains("redis+unix://default:******@"), "\(shown)")
                #expect(!shown.contains("canary"))
            }
        }
    }
}
