import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
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
        #expect(status.threads >= 1 && status.start > 0)
        #expect(ProcessSession.openDescriptor(of: Int32.max) == nil)
    }
    @Test func `says that a process lives whose main thread only has ended`() async throws {
        let script = """
            import ctypes, threading, time
            threading.Thread(target=time.sleep, args=(1000,)).start()
            ctypes.CDLL(None).pthread_exit(None)
            """
        _ = try await Subprocess.run(
            .name("python3"),
            arguments: ["-S", "-c", script],
            input: .none,
            output: .discarded,
            error: .discarded
        ) { execution in
            let pid = execution.processIdentifier.value
            try await eventually("its main thread has ended") { ProcessStatus(of: pid)?.state == "Z" }
            #expect(ProcessStatus(of: pid)?.isAlive == true)
            try execution.send(signal: .kill)
        }
    }
}
