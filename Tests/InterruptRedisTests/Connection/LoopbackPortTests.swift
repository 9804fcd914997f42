import InterruptTesting
import Testing

@Suite struct `A free port of the loopback` {
    @Test func `is nobody's that was chosen before, whether it is taken by now or not`() throws {
        let ports = try (0..<500).map { _ in try freeLoopbackPort() }
        #expect(Set(ports).count == ports.count)
    }
}
