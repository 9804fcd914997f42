import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Logging
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import interruptd

@Suite(.timeLimit(.minutes(2)), .serialized) struct `interruptd` {
    @Test func `three presses of Ctrl-C drain, terminate and kill, and leave nothing`() async throws {
        try await withTemporaryDirectory { directory in
            let pids = Mutex<[Int32]>([])
            let (status, lines) = try await withDaemon(["--grace", "1h"], in: directory) { daemon in
                let trap = "trap '' TERM INT HUP; : > '\(directory)/deaf'; while :; do sleep 1000; done"
                let deafJob = try await daemon.start(trap, as: "deaf")
                let kindJob = try await daemon.start("while :; do sleep 1000; done", as: "kind")
                pids.withLock { $0 = [deafJob.pid, kindJob.pid] }
                try await eventually("it is deaf") { access("\(directory)/deaf", F_OK) == 0 }
                #expect(getsid(deafJob.pid) == deafJob.pid)  // the terminal's Ctrl-C does not reach it
                #expect(getsid(deafJob.pid) != getsid(daemon.pid))
                daemon.send(SIGINT)
                await daemon.lines.wait(for: "Graceful Cancellation")
                #expect(isRunning(kindJob.pid))
                try await Task.sleep(for: .milliseconds(310))  // a press within 300 ms would count with this one
                daemon.send(SIGINT)
                await daemon.lines.wait(for: "Urgent Cancellation")
                await daemon.lines.wait(for: "ended job=\"kind\"")
                #expect(isRunning(deafJob.pid))
                try await Task.sleep(for: .milliseconds(310))  // as above
                daemon.send(SIGINT)
            }
            #expect(status == .exited(0))
            let escalations = lines.filter { $0.contains("Interrupt escalation") }
            #expect(escalations.count == 3)
            #expect(lines.joined().utf8.allSatisfy { $0 < 0x80 }, "its locale has no more than ASCII")
            #expect(lines.contains { $0.contains("ended job=\"deaf\"") && $0.contains("signal=\"SIGKILL\"") })
            #expect(lines.contains { $0.contains("ended job=\"kind\"") && $0.contains("state=\"interrupted\"") })
            #expect(!lines.joined().contains("\u{1B}"))  // no terminal, nothing for one
            for pid in pids.withLock({ $0 }) { #expect(!isRunning(pid)) }
            expectNothingLeft(in: directory)
        }
    }

    @Test func `three presses at once are one, and SIGTERM ends a deaf job within the grace period`() async throws {
        var (lines, presses, escalations): ([String], Int, Int) = ([], 0, 0)
        // Where the daemon waits for a processor, a press may come long after the one before, and the job's end after
        // more than the tenth of the grace period that is left for it.
        for seconds in [3, 6, 12] where (presses, escalations) != (1, 2) {
            lines = try await endDeafJob(grace: seconds)
            presses = lines.count { $0.contains(" interrupted by=\"SIGINT\"") }
            escalations = lines.count { $0.contains("Interrupt escalation") }
        }
        #expect(presses == 1 && escalations == 2, "\(lines)")
        #expect(lines.contains { $0.contains("reason=\"system_shutdown\"") })
    }

    /// Presses Ctrl-C three times and sends SIGTERM; returns what the daemon has said.
    private func endDeafJob(grace seconds: Int) async throws -> [String] {
        try await withTemporaryDirectory { directory in
            let clock = ContinuousClock()
            let asked = Mutex<ContinuousClock.Instant?>(nil)
            let (status, lines) = try await withDaemon(["--grace", "\(seconds)s"], in: directory) { daemon in
                // Its own grace period must not outlast the daemon's.
                let job = try await daemon.start(deaf, as: "deaf", grace: .seconds(3_600))
                for _ in 0..<3 { daemon.send(SIGINT) }
                await daemon.lines.wait(for: "Graceful Cancellation")
                asked.withLock { $0 = clock.now }
                daemon.send(SIGTERM)
                await daemon.lines.wait(for: "ended job=\"deaf\"")
                #expect(!isRunning(job.pid))
            }
            let taken = try #require(asked.withLock { $0 }).duration(to: clock.now)
            print("SIGTERM with a deaf job, grace \(seconds) s: gone after \(taken)")
            #expect(status == .exited(0))
            expectNothingLeft(in: directory)
            return lines
        }
    }

    @Test func `SIGHUP reads the file again, and a broken one changes nothing`() async throws {
        try await withTemporaryDirectory { directory in
            let file = "\(directory)/d.yaml"
            func write(_ text: String) throws {
                try text.write(toFile: file, atomically: false, encoding: .utf8)
                chmod(file, 0o600)
            }
            try write("grace: 1h\n")
            let (status, lines) = try await withDaemon(["--config", file], in: directory) { daemon in
                try "grace: 50ms\nlog_level: debug\nconcurrency: 2\nname: other\n"
                    .write(toFile: file, atomically: false, encoding: .utf8)
                daemon.send(SIGHUP)
                await daemon.lines.wait(for: "applied grace, log_level; restart to change name")
                let job = try await daemon.start(deaf, as: "deaf")
                try "grace: soon\n".write(toFile: file, atomically: false, encoding: .utf8)
                daemon.send(SIGHUP)
                await daemon.lines.wait(for: "the settings stay as they are")
                _ = try await daemon.client?.interrupt([.run(job.run)], InterruptSignal())
                await daemon.lines.wait(for: "ended job=\"deaf\"")  // one hour without the reload
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(lines.contains { $0.contains("d.yaml:1:1: 'soon' is not a duration") })
        }
    }

    @Test func `an ignored SIGINT or SIGHUP stays ignored, as nohup means it`() async throws {
        try await withTemporaryDirectory { directory in
            let (status, lines) = try await withDaemon(in: directory, ignoring: "INT HUP") { daemon in
                daemon.send(SIGINT)
                daemon.send(SIGHUP)
                _ = try await daemon.start("true", as: "after")
                daemon.send(SIGTERM)
            }
            #expect(status == .exited(0))
            #expect(!lines.contains { $0.contains("settings read again") })
            expectNothingLeft(in: directory)
        }
    }

    @Test func `the log says who interrupted which run, by which way and from which source`() async throws {
        try await withTemporaryDirectory { directory in
            let (_, lines) = try await withDaemon(in: directory) { daemon in
                let job = try await daemon.start("while :; do sleep 1000; done", as: "kind")
                let signal = InterruptSignal(triggeredBy: "ann@box", source: .remote)
                _ = try await daemon.client?.interrupt([.run(job.run)], signal)
                await daemon.lines.wait(for: "ended job=\"kind\"")
                daemon.send(SIGTERM)
            }
            let line = try #require(lines.first { $0.contains(" interrupted by=") })
            for field in ["by=\"ann@box\"", "job=\"kind\"", "run=\"", "source=\"remote\"", "via=\""] {
                #expect(line.contains(field), "\(line)")
            }
        }
    }

    /// 25 rounds each, a hundred in all, five at a time.
    @Test(arguments: [(SIGINT, 1), (SIGINT, 2), (SIGINT, 3), (SIGTERM, 1)])
    func `real signals at any moment end it with status 0, and leave nothing`(number: Int32, times: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<5 {
                group.addTask { for _ in 0..<5 { try await endAtRandom(with: number, times: times) } }
            }
            try await group.waitForAll()
        }
    }

    private func endAtRandom(with number: Int32, times: Int) async throws {
        let hasJob = Bool.random()
        let moments = (0..<times).map { _ in Duration.milliseconds(Int.random(in: 0...400)) }
        try await withTemporaryDirectory { directory in
            let job = Mutex<Int32?>(nil)
            let (status, lines) = try await withDaemon(["--grace", "1s"], in: directory, waitsUntilReady: hasJob) {
                daemon in
                if hasJob {
                    let pid = try await daemon.start("sleep 0.5; : \(directory)", as: "job").pid
                    job.withLock { $0 = pid }
                }
                for moment in moments {
                    try await Task.sleep(for: moment)  // any moment may be the wrong one
                    if isRunning(daemon.pid) { daemon.send(number) }
                }
            }
            // Before it has its handlers, which is before its first word, a signal does what it always does.
            let isEarly = !hasJob && status == .signaled(number) && lines.isEmpty
            #expect(status == .exited(0) || isEarly, "\(moments) \(lines)")
            if let pid = job.withLock({ $0 }) { #expect(!isRunning(pid)) }
            expectNothingLeft(in: directory)
        }
    }
}
