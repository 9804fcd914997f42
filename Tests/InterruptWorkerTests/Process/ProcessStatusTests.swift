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
        let handlers = SignalHandlers(of: getpid())
        let before = signal(SIGUSR2, SIG_DFL)
        let isHandledBefore = handlers.contains(SIGUSR2)
        signal(SIGUSR2) { _ in }
        let isHandled = handlers.contains(SIGUSR2)
        signal(SIGUSR2, before)
        #expect(!isHandledBefore)
        #expect(isHandled)
        let nobody = SignalHandlers(of: Int32.max).contains(SIGTERM)
        #expect(!nobody)
    }
}
