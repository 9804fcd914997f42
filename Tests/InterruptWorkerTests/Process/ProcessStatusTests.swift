import Glibc
import Testing

@testable import InterruptWorker

@Suite struct `Process status` {
    @Test func `tells what the kernel says about a process`() throws {
        let status = try #require(ProcessStatus(of: getpid()))
        #expect(
            status.pid == getpid() && status.group == getpgrp() && status.parent == getppid() && status.isAlive
                && !status.name.isEmpty
        )
        #expect(ProcessStatus.allProcesses().contains(getpid()))
        #expect(ProcessStatus(of: Int32.max) == nil)
        #expect(ProcessSession.openDescriptor(of: Int32.max) == nil)
    }
}
