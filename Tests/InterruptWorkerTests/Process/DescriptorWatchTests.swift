import Glibc
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `A watched descriptor` {
    @Test func `is heard of when it is readable, and not before`() async throws {
        let pipes = try JobPipes()
        let watch = DescriptorWatch(pipes.output.read)
        await watch.readable(before: .now + .milliseconds(20))
        var entry = pollfd(fd: pipes.output.read, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 0) == 0, "the deadline came first")
        async let isReadable: Void = DescriptorWatch(pipes.output.read).readable()
        #expect(write(pipes.output.write, "x", 1) == 1)
        await isReadable
        pipes.closeChildEnds()
    }

    /// As a file is, or any other one when the user has too many watches.
    @Test func `is heard of also when the kernel does not watch it`() async throws {
        for _ in 0..<10 {
            let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
            try #require(file >= 0)
            await DescriptorWatch(file).readable()
            close(file)
        }
        let pipes = try JobPipes()
        async let isReadable: Void = DescriptorWatch(pipes.output.read).readable()
        #expect(write(pipes.output.write, "x", 1) == 1)
        await isReadable
        pipes.closeChildEnds()
    }
}
