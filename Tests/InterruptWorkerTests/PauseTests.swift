import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `Pausing a run` {
    private func text(_ test: WorkerUnderTest, _ run: RunID) throws -> String {
        String(decoding: try test.record(run).output.flatMap(\.bytes), as: UTF8.self)
    }

    /// Stopped, or in a cgroup that is frozen.
    private func isFrozen(_ pid: Int32) -> Bool {
        if ProcessStatus(of: pid)?.state == "T" { return true }
        let line = kernelText(of: "/proc/\(pid)/cgroup", limit: 8_192)?.split(separator: "\n").last ?? ""
        let mount = (try? CgroupPlace.ofProcess().get().mount) ?? ""  // nothing is frozen where there is none
        let events = kernelText(of: "\(mount)\(line.dropFirst("0::".count))/cgroup.events", limit: 256)
        return events?.contains("frozen 1") == true
    }

    /// Returns when another timeout has fired that began later and is longer than this.
    private func outlast(_ duration: Duration) async {
        await withDetachedInterruptScope(timeout: duration) { later in
            _ = await later.signals.first { _ in true }
        }
    }

    /// Starts a job that writes `ready`, and pauses it.
    private func paused(_ test: WorkerUnderTest, _ script: String) async throws -> RunID {
        let run = try test.submit("bash", "-c", script)
        try await eventually("the job is ready") { try text(test, run).contains("ready") }
        #expect(test.transport.base.pause(run) == .recorded)
        try await eventually("the run is paused") { try test.record(run).state == .paused }
        return run
    }

    /// A run that is paused before its timeout, which is longer each time that it came first.
    private func pausedInTime(_ test: WorkerUnderTest) async throws -> (run: RunID, timeout: Duration) {
        var timeout = Duration.seconds(1)
        while true {
            let run = try test.submit("sleep", "1000", timeout: timeout)
            try await eventually("the run is claimed") { try test.record(run).state != .queued }
            _ = test.transport.base.pause(run)
            try await eventually("the run is paused or ends") {
                try [.paused, .interrupted].contains(test.record(run).state)
            }
            if try test.record(run).state == .paused { return (run, timeout) }
            timeout *= 2
        }
    }

    @Test func `freezes the whole tree, and resuming continues it`() async throws {
        let test = try WorkerUnderTest()
        let script =
            "setsid sh -c 'while :; do sleep 0.01; done' & echo child=$!; echo ready; while ! [ -e go ]; do sleep 0.01; done"
        try await test.run {
            let run = try await paused(test, "cd \(test.directory.path); \(script); kill $!; echo on")
            let pids = test.events.all.pids + numbers(after: "child", in: try text(test, run))
            try #require(pids.count == 2)
            try await eventually("both are frozen") { pids.allSatisfy(isFrozen) }
            _ = try test.directory.write("", to: "go")
            #expect(test.transport.base.resume(run) == .recorded)
            try await eventually("the end is written") { try test.record(run).ending != nil }
            let written = try text(test, run)
            #expect(written.hasSuffix("on\n"))
            #expect(try test.record(run).ending?.bare == RunEnding(state: .completed, exitCode: 0))
            #expect(test.events.all.pauses == [true, false])
            let states = test.transport.writes.filter { if case .paused = $0 { true } else { false } }
            #expect(states == [.paused(run, true), .paused(run, false)])
        }
    }

    @Test func `asked twice, and for what is not paused, changes nothing`() async throws {
        let test = try WorkerUnderTest()
        try await test.run {
            let run = try await paused(test, "echo ready; exec sleep 1000")
            #expect(test.transport.base.pause(run) == .already)
            #expect(test.transport.base.resume(run) == .recorded)
            try await eventually("it goes on") { try test.record(run).state == .running }
            #expect(test.transport.base.resume(run) == .already)
            #expect(test.transport.base.interrupt(run, InterruptSignal()) == .first)
            try await eventually("the end is written") { try test.record(run).ending != nil }
            #expect(test.transport.base.pause(run) == .ended)
            #expect(test.events.all.pauses == [true, false])
        }
    }

    @Test func `leaves an interrupt its whole effect: it reacts, and ends within its grace period`() async throws {
        let test = try WorkerUnderTest(grace: .seconds(3_600))
        try await test.run {
            let run = try await paused(test, "trap 'echo saved; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
            #expect(test.transport.base.interrupt(run, InterruptSignal()) == .first)
            try await eventually("the end is written") { try test.record(run).ending != nil }
            #expect(try test.record(run).ending?.bare == RunEnding(state: .interrupted, exitCode: 3))
            let written = try text(test, run)
            #expect(written.hasSuffix("saved\n"))
        }
    }

    @Test func `that fails is tried again until it holds`() async throws {
        let log = SeenLog()
        let test = try WorkerUnderTest(hold: .supervisor, logger: log.logger)
        let deep =
            "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); true); else echo ready; while ! [ -e go ]; do sleep 0.01; done; fi; }"
        try await test.run {
            let run = try test.submit("sh", "-c", "cd \(test.directory.path); \(deep); f 300; exec sleep 1000")
            try await eventually("the job is ready") { try text(test, run).contains("ready") }
            #expect(test.transport.base.pause(run) == .recorded)
            try await eventually("it is said") { log.lines.contains { $0.contains("could not be paused") } }
            #expect(try test.record(run).state == .running)
            _ = try test.directory.write("", to: "go")
            try await eventually("the run is paused") { try test.record(run).state == .paused }
            #expect(log.lines.count { $0.contains("could not be paused") } == 1)
            #expect(test.transport.base.interrupt(run, InterruptSignal()) == .first)
        }
    }

    @Test(arguments: [InterruptStage.terminate, .kill])
    func `does not keep a deaf one from being forced`(stage: InterruptStage) async throws {
        let test = try WorkerUnderTest(grace: .milliseconds(200))
        try await test.run {
            let run = try await paused(test, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
            #expect(test.transport.base.interrupt(run, InterruptSignal(stage: stage)) == .first)
            try await eventually("the end is written") { try test.record(run).ending != nil }
            #expect(try test.record(run).ending?.bare == RunEnding(state: .interrupted, termSignal: SIGKILL))
        }
    }

    @Test func `that comes with an interrupt never holds it up`() async throws {
        let test = try WorkerUnderTest(slots: 4)
        var runs: [RunID] = []
        try await test.run {
            for number in 1...100 {
                let run = try test.submit("sleep", "1000")
                runs.append(run)
                await test.events.waitForStarts(number)
                async let isPaused = test.transport.base.pause(run)
                async let isInterrupted = test.transport.base.interrupt(run, InterruptSignal())
                _ = await (isPaused, isInterrupted)
                await test.events.waitForEnds(number)
            }
        }
        #expect(try runs.allSatisfy { try test.record($0).ending?.state == .interrupted })
    }

    @Test func `asked a hundred times at once, ends as it was asked last`() async throws {
        let test = try WorkerUnderTest()
        try await test.run {
            let run = try await paused(test, "echo ready; exec sleep 1000")
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        _ =
                            number.isMultiple(of: 2)
                            ? test.transport.base.pause(run) : test.transport.base.resume(run)
                    }
                }
            }
            _ = test.transport.base.resume(run)
            let leader = try #require(test.events.all.pids.first)
            try await eventually("it goes on") { try test.record(run).state == .running && !isFrozen(leader) }
            _ = test.transport.base.pause(run)
            try await eventually("it is paused") { try test.record(run).state == .paused && isFrozen(leader) }
            #expect(test.transport.base.interrupt(run, InterruptSignal()) == .first)
        }
    }

    @Test func `that was asked before the process runs is carried out at its start`() async throws {
        let test = try WorkerUnderTest(gated: true)
        let run = try test.submit("sleep", "1000")
        try await test.run {
            await test.transport.gateReached.wait()
            #expect(test.transport.base.pause(run) == .recorded)
            test.transport.gate?.signal()
            try await eventually("the run is paused") { try test.record(run).state == .paused }
            #expect(test.transport.base.interrupt(run, InterruptSignal()) == .first)
        }
    }

    @Test func `is written when Redis is back, in order with what else there is to write`() async throws {
        let test = try WorkerUnderTest()
        test.transport.faults.withLock { $0.unavailable["paused"] = 2 }
        try await test.run {
            let run = try await paused(test, "echo ready; exec sleep 1000")
            #expect(test.transport.faults.withLock { $0.unavailable["paused"] } == 0)
            #expect(test.transport.base.interrupt(run, InterruptSignal()) == .first)
            try await eventually("the end is written") { try test.record(run).state == .interrupted }
        }
    }

    @Test func `stops the clock of its timeout`() async throws {
        let test = try WorkerUnderTest()
        try await test.run {
            let (run, timeout) = try await pausedInTime(test)
            await outlast(timeout * 1.5)
            #expect(try test.record(run).state == .paused)
            #expect(test.transport.base.resume(run) == .recorded)
            try await eventually("the end is written") { try test.record(run).ending != nil }
            #expect(try test.record(run).inbox.cause?.reason == .timeout)
        }
    }

    @Test func `does not stop the clock where paused time is charged`() async throws {
        let test = try WorkerUnderTest()
        let run = try test.submit("sleep", "1000", timeout: .milliseconds(500), chargesPausedTime: true)
        try await test.run {
            await test.events.wait { !$0.pids.isEmpty || !$0.endings.isEmpty }
            _ = test.transport.base.pause(run)
            await test.events.waitForEnds(1)
        }
        #expect(try test.record(run).inbox.cause?.reason == .timeout)
        #expect(try test.record(run).ending?.state == .interrupted)
    }

    @Test func `is refused for what is queued, and for a function of the worker's own process`() async throws {
        var jobs = JobRegistry()
        try jobs.register("wait") { _, scope in try await scope.sleep(for: .seconds(1_000)) }
        let test = try WorkerUnderTest(slots: 1, jobs: jobs)
        let running = try test.submit(handler: "wait")
        let queued = try test.submit("true")
        try await test.run {
            await test.events.waitForStarts(1)
            #expect(test.transport.base.pause(running) == .handler)
            #expect(test.transport.base.pause(queued) == .queued)
            #expect(test.transport.base.pause(.random()) == .missing)
            #expect(test.transport.base.interrupt(running, InterruptSignal()) == .first)
            await test.events.waitForEnds(2)
        }
    }
}
