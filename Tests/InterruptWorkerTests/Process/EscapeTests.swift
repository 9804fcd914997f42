import Foundation
import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptWorker

/// How a run's processes may be held together; every escape is tried from both.
enum Hold: CaseIterable, CustomTestStringConvertible {
    case cgroup, supervisor

    var testDescription: String { "\(self)" }
}

/// Jobs that try to leave something behind.
private enum Escape: String, CaseIterable, CustomTestStringConvertible {
    case deaf = "trap '' TERM INT HUP; echo ready; while :; do sleep 100; done"
    case `forking while it is killed` = "echo ready; while :; do sleep 100 & sleep 0; done"
    case `hopping from process to process` =
        "hop() { sleep 0; (hop &) ; }; trap '' TERM; (hop &); echo ready; while :; do sleep 100; done"
    case `hopping into new sessions` = """
        python3 -S -c 'import os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(1, b"ready\\n")
        while True:
            if os.fork(): os._exit(0)
            os.setsid()' & exec sleep 100
        """
    case `a double fork with setsid` = "(setsid sh -c 'trap \"\" TERM; sleep 100' &) ; echo ready; sleep 100"
    case `a daemon that cleans its environment` =
        "(env -i setsid sh -c 'trap \"\" TERM; sleep 100' &) ; echo ready; sleep 100"
    case `a shell pipeline` = "sleep 100 | (trap '' TERM; sleep 100) | { echo ready >&2; echo ready; cat; }"
    case `a grandchild that holds the pipe open` = "setsid sleep 100 & echo ready; exec sleep 100"
    case stopped = "sleep 100 & echo ready; kill -STOP $$"
    case nohup = "nohup sleep 100 >/dev/null 2>&1 & nohup setsid sleep 100 >/dev/null 2>&1 & echo ready; wait"
    case `a server in the background` = """
        setsid python3 -S -c 'import os, socket, time
        os.fork() and os._exit(0)
        s = socket.socket(socket.AF_UNIX); s.bind("\\0escape-%d" % os.getpid()); s.listen(); time.sleep(100)' \
        >/dev/null 2>&1; echo ready; sleep 100
        """
    case `an exit at the very moment of the kill` = "(setsid sleep 100 &); echo ready; exec sleep 0.00$((RANDOM % 9))"

    var testDescription: String { "\(self)" }
}

@Suite(.timeLimit(.minutes(5))) struct `A job that tries to leave processes behind` {
    private static let rounds = 100

    private static let cases = Hold.allCases.flatMap { hold in Escape.allCases.map { (hold, $0) } }

    @Test(arguments: cases) private func `leaves none, a hundred times`(hold: Hold, escape: Escape) async throws {
        let directory = try TemporaryDirectory()
        let stages: [InterruptStage] = [.kill, .terminate]
        for round in 0..<Self.rounds {
            var job = try JobUnderTest("bash", "-c", escape.rawValue, in: directory)
            job.usesCgroups = hold == .cgroup
            job.order.gracePeriod = .milliseconds(20)
            let stage = stages[round % 2]
            let ending = await job.runInterrupted(stage)
            #expect(ending.state != .lost)
            #expect(ending.error == nil)
            let mine = ProcessStatus.allProcesses().filter { pid in
                ProcessStatus.environment(of: pid).contains("INTERRUPT_RUN=\(job.order.run)")
            }
            #expect(mine.isEmpty, "\(escape), \(stage), round \(round)")
        }
    }
}
