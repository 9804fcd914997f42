import Glibc
import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `What outlives SIGKILL` {
    @Test(arguments: [
        (
            Survivor.Cause.notPermitted(user: 0),
            "not permitted: runs as uid 0; its own user or root must end what is not permitted"
        ),
        (
            .inKernel(waitChannel: "nfs_wait"),
            "waits in the kernel in nfs_wait; what waits in the kernel ends as soon as that lets it go"
        ),
        (.inKernel(waitChannel: nil), "waits in the kernel; what waits in the kernel ends as soon as that lets it go"),
        (.slow(state: "R"), "has not reacted yet, state R; what has not reacted ends as soon as it runs again"),
    ])
    func `is named with the reason and what comes next`(cause: Survivor.Cause, text: String) {
        let survivor = Survivor(pid: 7, name: "c\u{1B}t", cause: cause)
        #expect(Survivor.text([survivor]) == #"still there after SIGKILL: 7 (c\x1bt) \#(text)"#)
    }

    @Test func `is one line for many, and each next step is said once`() {
        let survivors = (1...9).map { Survivor(pid: $0, name: "x", cause: .slow(state: "R")) }
        let text = Survivor.text(survivors)
        #expect(text.contains(", 5 (x) has not reacted yet, state R, 4 more; what"))
        #expect(text.split(separator: ";").count == 2)
    }

    @Test func `is asked about itself`() throws {
        let own = try #require(ProcessStatus(of: getpid()))
        #expect(own.user == getuid())
        #expect(Survivor(own).cause == .slow(state: own.state))
    }
}
