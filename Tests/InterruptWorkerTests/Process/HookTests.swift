import Foundation
import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `The hooks of a job` {
    /// A job whose hooks write what they are told into its output.
    private func job(_ script: String, onInterrupt: String? = nil, onEnd: String? = nil) throws -> JobUnderTest {
        var job = try JobUnderTest("bash", "-c", script)
        job.order.hooks = RunHooks(onInterrupt: onInterrupt, onEnd: onEnd, limit: .seconds(20))
        return job
    }

    private static let told =
        #"echo "hook $INTERRUPT_STATE/$INTERRUPT_EXIT_CODE/$INTERRUPT_TERM_SIGNAL/$INTERRUPT_REASON""#

    @Test(arguments: [
        ("exit 0", "hook completed/0//"), ("exit 3", "hook failed/3//"), ("kill -ABRT $$", "hook failed//SIGABRT/"),
    ])
    func `on-end runs when it has ended by itself`(script: String, line: String) async throws {
        let job = try job(script, onEnd: Self.told)
        let ending = await job.run()
        #expect(ending.hookErrors == [])
        #expect(job.seen.text() == line + "\n")
    }

    @Test(arguments: [InterruptStage.terminate, .kill])
    func `both run when it is interrupted, also by SIGKILL, and see why`(stage: InterruptStage) async throws {
        let job = try job(
            "trap '' TERM; echo ready; while :; do sleep 100; done",
            onInterrupt:
                #"echo "asked $INTERRUPT_STAGE $INTERRUPT_REASON $INTERRUPT_TRIGGERED_BY: $INTERRUPT_MESSAGE""#,
            onEnd: Self.told
        )
        let ending = await job.run { scope, seen in
            await seen.wait(for: "ready")
            var signal = InterruptSignal(stage: stage, message: "it's $(enough)\n", triggeredBy: "anna")
            signal.gracePeriod = .milliseconds(100)
            scope.receive(signal)
        }
        #expect(ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
        #expect(job.seen.text().contains("asked \(stage.rawValue) user_cancelled anna: it's $(enough)\n"))
        #expect(job.seen.text().hasSuffix("hook interrupted//SIGKILL/user_cancelled\n"))
    }

    @Test func `on-end runs when it could not be started`() async throws {
        var job = try JobUnderTest("/nowhere/program")
        job.order.hooks = RunHooks(onEnd: "echo cleaned")
        let ending = await job.run()
        #expect(ending.exitCode == 127)
        #expect(job.seen.text() == "cleaned\n")
    }

    /// The leader's parent is what has its tree: the guard, or the supervisor.
    @Test(arguments: Hold.allCases)
    func `on-end runs when somebody has killed what held its processes`(hold: Hold) async throws {
        var job = try job("(setsid sleep 100 &); kill -KILL $PPID; exec sleep 100", onEnd: Self.told)
        job.usesCgroups = hold == .cgroup
        let ending = await job.run()
        #expect(ending.error?.hasSuffix("was ended by somebody; what was left of it was ended") == true)
        #expect(ending.hookErrors == [])
        #expect(job.seen.text() == "hook failed///\n")
        #expect(carriers(of: job.order.run).isEmpty)
    }

    /// A directory that only one can make stands for a device that only one can have.
    @Test(arguments: Hold.allCases)
    func `on-end releases what a killed job held, after all of that has gone and before anything is tidied up`(
        hold: Hold
    ) async throws {
        let directory = try TemporaryDirectory()
        let held = "\(directory.path)/device"
        let script = """
            trap '' TERM
            mkdir \(held) || exit 9
            setsid bash -c 'echo $$ > \(held)/user; echo ready; exec sleep 1000' &
            wait
            """
        let release = """
            kill -0 $(cat \(held)/user) 2>/dev/null && echo still used
            test -p "$INTERRUPT_RUN_DIR/tell" || echo no directory
            rm -r \(held) && echo released
            """
        for round in 0..<20 {
            var job = try JobUnderTest("bash", "-c", script, in: directory)
            job.usesCgroups = hold == .cgroup
            job.order.hooks = RunHooks(onEnd: release)
            job.order.gracePeriod = .milliseconds(20)
            let ending = await job.runInterrupted(round % 2 == 0 ? .kill : .terminate)
            #expect(ending == RunEnding(state: .interrupted, termSignal: SIGKILL), "round \(round)")
            #expect(job.seen.text() == "ready\nreleased\n")
        }
        #expect(access(held, F_OK) != 0)
    }

    @Test(arguments: Hold.allCases)
    func `that hangs is killed with all that it started after its limit, which is said and stops nothing`(
        hold: Hold
    ) async throws {
        var job = try job("exit 0", onEnd: "setsid sleep 1000 & echo begun; trap '' TERM; sleep 1000")
        job.usesCgroups = hold == .cgroup
        job.order.hooks.limit = .milliseconds(300)
        let ending = await job.run()
        #expect(ending.state == .completed)
        #expect(ending.hookErrors == ["the on-end hook was killed after its limit of 300 ms"])
        let left = ProcessStatus.allProcesses().filter {
            ProcessStatus.environment(of: $0).contains("INTERRUPT_RUN=\(job.order.run)")
        }
        #expect(left.isEmpty)
    }

    @Test(arguments: Hold.allCases)
    func `that goes on beyond the fence of its run is killed with all that it started`(hold: Hold) async throws {
        var job = try job("exit 0", onEnd: "setsid sleep 1000 & echo begun; trap '' TERM; sleep 1000")
        job.usesCgroups = hold == .cgroup
        let fence = RunFence(at: .now.advanced(by: .seconds(60)))
        let ending = await withInterruptScope(run: job.order.run) { [job] scope in
            async let ending = job.runner.run(job.order, scope: scope, fence: fence) { job.seen.take($0) }
            await job.seen.wait(for: "begun")
            fence.move(to: .now.advanced(by: .milliseconds(100)))
            return await ending
        }
        #expect(ending?.state == .completed)
        #expect(ending?.hookErrors == ["the on-end hook was killed: its worker's lease was over"])
        #expect(carriers(of: job.order.run).isEmpty)
    }

    @Test func `that fail are both said, and the later one runs though the earlier has failed`() async throws {
        let job = try job("echo ready; exec sleep 100", onInterrupt: "exit 7", onEnd: "echo cleaned; kill -9 $$")
        let ending = await job.runInterrupted()
        #expect(ending.state == .interrupted)
        #expect(
            ending.hookErrors == [
                "the on-interrupt hook failed with exit code 7", "the on-end hook was ended by SIGKILL",
            ]
        )
        #expect(job.seen.text() == "ready\ncleaned\n")
    }

    @Test func `cost a job without an interrupt no on-interrupt, and one without hooks nothing`() async throws {
        let job = try job("echo done", onInterrupt: "echo asked")
        #expect(await job.run() == RunEnding(state: .completed, exitCode: 0))
        #expect(job.seen.text() == "done\n")
    }
}
