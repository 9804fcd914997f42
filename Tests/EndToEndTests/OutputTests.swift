import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2)))
struct `The output of an attached run` {
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
