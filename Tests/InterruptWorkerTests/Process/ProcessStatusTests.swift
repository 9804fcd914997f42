import Glibc
import Testing

@testable import InterruptWorker

@Suite struct `Process status` {
    @Test func `tells what the kernel says about a process`() throws {
        let status = try #require(ProcessStatus(of: getpid()))
        #expect(status.pid == getpid() && status.group == getpgrp() && status.isAlive && !status.name.isEmpty)
        #expect(ProcessStatus.allProcesses().contains(getpid()))
        #expect(ProcessStatus(of: Int32.max) == nil)
        #expect(ProcessGroup.openDescriptor(of: Int32.max) == nil)
    }

    @Test func `tells a handled Unix signal from one that is not`() {
        #expect(!ProcessStatus.handles(SIGUSR2, pid: getpid()))
        let before = signal(SIGUSR2) { _ in }
        #expect(ProcessStatus.handles(SIGUSR2, pid: getpid()))
        signal(SIGUSR2, before)
        #expect(!ProcessStatus.handles(SIGTERM, pid: Int32.max))
    }
}
