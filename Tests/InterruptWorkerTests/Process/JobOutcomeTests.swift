import Glibc
import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `Job outcome` {
    struct Case: CustomTestStringConvertible {
        var what: String
        var status: JobOutcome.WaitStatus
        var sent: JobOutcome.SentSignals = []
        var handled = false
        var asked = false
        var state: RunState
        var isLate = false
        var testDescription: String { what }
    }

    static let term = JobOutcome.WaitStatus.signalled(signal: SIGTERM, dumpedCore: false)
    static let kill = JobOutcome.WaitStatus.signalled(signal: SIGKILL, dumpedCore: false)
    static let segv = JobOutcome.WaitStatus.signalled(signal: SIGSEGV, dumpedCore: true)
    static let cases: [Case] = [
        Case(what: "exit 0", status: .exited(code: 0), state: .completed),
        Case(what: "exit 3", status: .exited(code: 3), state: .failed),
        Case(what: "killed by somebody", status: kill, state: .failed),
        Case(what: "exit 0 before our signal", status: .exited(code: 0), asked: true, state: .completed, isLate: true),
        Case(what: "exit 3 before our signal", status: .exited(code: 3), asked: true, state: .failed, isLate: true),
        Case(what: "crash before our signal", status: segv, asked: true, state: .failed, isLate: true),
        Case(what: "died of our SIGTERM", status: term, sent: .terminate, asked: true, state: .interrupted),
        Case(what: "died of our SIGKILL", status: kill, sent: .kill, asked: true, state: .interrupted),
        Case(
            what: "deaf, died of our SIGKILL",
            status: kill,
            sent: [.terminate, .kill],
            asked: true,
            state: .interrupted
        ),
        Case(
            what: "handled SIGTERM, exit 0",
            status: .exited(code: 0),
            sent: .terminate,
            handled: true,
            asked: true,
            state: .interrupted
        ),
        Case(
            what: "handled SIGTERM, exit 3",
            status: .exited(code: 3),
            sent: .terminate,
            handled: true,
            asked: true,
            state: .interrupted
        ),
        Case(
            what: "handled SIGTERM, crashed",
            status: segv,
            sent: .terminate,
            handled: true,
            asked: true,
            state: .interrupted
        ),
        Case(
            what: "ignored SIGTERM, exit 0 in its grace period",
            status: .exited(code: 0),
            sent: .terminate,
            asked: true,
            state: .completed,
            isLate: true
        ),
        Case(
            what: "ignored SIGTERM, crashed",
            status: segv,
            sent: .terminate,
            asked: true,
            state: .failed,
            isLate: true
        ),
        Case(
            what: "SIGTERM sent, killed by somebody else",
            status: kill,
            sent: .terminate,
            asked: true,
            state: .failed,
            isLate: true
        ),
        Case(
            what: "SIGKILL sent, exit 0 was first",
            status: .exited(code: 0),
            sent: .kill,
            asked: true,
            state: .completed,
            isLate: true
        ),
    ]

    @Test func `says when the kernel ended something of it for want of memory`() {
        let killed = JobOutcome.WaitStatus.signalled(signal: SIGKILL, dumpedCore: false)
        #expect(JobOutcome(status: killed, memoryKills: 1).ending.memoryKills == 1)
        #expect(JobOutcome(status: killed, memoryKills: 1).ending.state == .failed)
        #expect(JobOutcome(status: killed, memoryKills: 0).ending.memoryKills == 0)
        #expect(JobOutcome(status: killed, memoryKills: nil).ending.memoryKills == 0)
    }

    @Test(arguments: cases) func `is decided by what was seen`(given: Case) {
        let ending = JobOutcome(
            status: given.status,
            sent: given.sent,
            handledTerminate: given.handled,
            wasInterruptAsked: given.asked
        ).ending
        #expect(ending.state == given.state)
        #expect(ending.isLateInterrupt == given.isLate)
        switch given.status {
        case .exited(let code):
            #expect(ending.exitCode == code && ending.termSignal == nil && !ending.dumpedCore)
        case .signalled(let signal, let dumpedCore):
            #expect(ending.exitCode == nil && ending.termSignal == signal && ending.dumpedCore == dumpedCore)
        }
    }
}
