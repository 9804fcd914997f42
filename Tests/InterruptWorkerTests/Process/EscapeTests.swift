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
        "(env -i setsid sh -c \"trap '' TERM; sleep 100.$MARK\" &) ; echo ready; sleep 100"
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
    /// Whether what it leaves is known by its words alone, and not by its variables.
    var hidesItsVariables: Bool { self == .`a daemon that cleans its environment` }
}

@Suite(.timeLimit(.minutes(5))) struct `A job that tries to leave processes behind` {
    private static let rounds = 100

    private static let cases = Hold.allCases.flatMap { hold in Escape.allCases.map { (hold, $0) } }

    @Test(arguments: cases) private func `leaves none, a hundred times`(hold: Hold, escape: Escape) async throws {
        let directory = try TemporaryDirectory()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<2 {
                group.addTask {
                    for round in stride(from: lane, to: Self.rounds, by: 2) {
                        try await leavesNone(hold, escape, round: round, in: directory)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func leavesNone(_ hold: Hold, _ escape: Escape, round: Int, in directory: TemporaryDirectory) async throws {
        var job = try JobUnderTest("bash", "-c", escape.rawValue, in: directory)
        job.usesCgroups = hold == .cgroup
        job.order.gracePeriod = .milliseconds(20)
        let mark = "\(UInt64.random(in: 10_000_000_000..<100_000_000_000))"
        job.order.environment["MARK"] = Array(mark.utf8)
        let stage: InterruptStage = round / 2 % 2 == 0 ? .kill : .terminate
        // Most are interrupted whatever has begun; of some it is known that what is left could be seen.
        let isWaitedFor = escape.hidesItsVariables && round < 10
        let ending = await job.run { scope, seen in
            await seen.wait(for: "ready")
            if isWaitedFor { await appearance(of: mark) }
            scope.interrupt(stage: stage)
        }
        #expect(ending.state != .lost)
        #expect(ending.error == nil)
        let mine = ProcessStatus.allProcesses().filter { pid in
            ProcessStatus.environment(of: pid).contains("INTERRUPT_RUN=\(job.order.run)")
        }
        #expect(mine.isEmpty, "\(escape), \(stage), round \(round)")
        if escape.hidesItsVariables { #expect(processes(saying: mark).isEmpty, "\(stage), round \(round)") }
    }

    private func appearance(of mark: String) async {
        do {
            try await eventually("a process says \(mark)") { !processes(saying: mark).isEmpty }
        } catch {
            Issue.record(error)
        }
    }
}
