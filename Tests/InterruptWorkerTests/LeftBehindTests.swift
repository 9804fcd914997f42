import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `What an earlier instance left behind` {
    /// Runs `body` with the leader of a session of its own that has a grandchild, and says whether each still runs.
    private func withSession(_ body: @escaping @Sendable (Int32, Int32) async throws -> Void) async throws {
        var options = PlatformOptions()
        options.createSession = true
        let script = "(trap '' TERM HUP; sleep 1000 & echo $!; wait) & wait"
        _ = try await Subprocess.run(
            .name("bash"),
            arguments: ["-c", script],
            platformOptions: options,
            input: .none,
            output: .sequence,
            error: .discarded
        ) { execution in
            var text = ""
            for try await line in execution.standardOutput.strings() {
                text = line
                break
            }
            let grandchild = try #require(Int32(text.filter(\.isNumber)))
            let leader = execution.processIdentifier.value
            defer {
                kill(-leader, SIGKILL)
            }
            try await body(leader, grandchild)
        }
    }

    @Test func `is killed with its grandchildren and recorded as lost`() async throws {
        try await withSession { leader, grandchild in
            let test = try WorkerUnderTest()
            let run = try test.submit("true")
            let identity = try #require(ProcessIdentity(pid: leader))
            test.transport.faults.withLock {
                $0.left = [
                    LeftRun(run: run, process: identity), LeftRun(run: RunID(rawValue: "never-spawned"), process: nil),
                ]
                $0.unavailable = ["lose": 2]
            }
            try await test.run {
                try await eventually("the run is lost") {
                    test.transport.writes.contains(.lost(RunID(rawValue: "never-spawned")))
                }
            }
            #expect(!isRunning(grandchild))
            #expect(!isRunning(leader))
            #expect(test.transport.writes.first == .lost(run))
        }
    }

    @Test(arguments: [Int64(-1_000), 1_000])
    func `is not signalled when its number belongs to somebody else now`(difference: Int64) async throws {
        try await withSession { leader, grandchild in
            let present = try #require(ProcessIdentity(pid: leader))
            let earlier = ProcessIdentity(
                boot: present.boot,
                pid: leader,
                start: UInt64(Int64(present.start) + difference)
            )
            #expect(await LeftTree(run: .random(), leader: earlier).end(within: .seconds(5)).isEmpty)
            #expect(isRunning(leader))
            #expect(isRunning(grandchild))
        }
    }

    @Test func `is not looked for in another boot`() async throws {
        try await withSession { leader, grandchild in
            let present = try #require(ProcessIdentity(pid: leader))
            let other = ProcessIdentity(boot: "other/pid:[1]", pid: leader, start: present.start)
            #expect(await LeftTree(run: .random(), leader: other).end(within: .seconds(5)).isEmpty)
            #expect(isRunning(leader))
        }
    }

    @Test(.enabled(if: getuid() == 0 && (try? CgroupPlace.ofProcess().get()) != nil))
    func `is found in its cgroup, which is removed with those that the run made below it`() async throws {
        let run = RunID.random()
        let leaf = try CgroupPlace.ofProcess().get().mount + "/\(run)"
        let script =
            "mkdir -p \(leaf)/a/b \(leaf)/c && echo 0 > \(leaf)/a/b/cgroup.procs && exec sleep 1000 >/dev/null &"
        let result = try await Subprocess.run(
            .name("sh"),
            arguments: ["-c", script],
            environment: .custom(["PATH": "/usr/bin:/bin"]),
            output: .discarded
        )
        try #require(result.terminationStatus == .exited(0))
        try await eventually("it is in there") { !TreeMembers.leaf(directory: leaf).alive().isEmpty }
        #expect(await LeftTree(run: run, leader: nil).end(within: .seconds(30)).isEmpty)
        #expect(access(leaf, F_OK) != 0)
    }

    @Test func `is dead for certain only with another start, or another boot of this machine`() throws {
        let present = try #require(ProcessIdentity(pid: getpid()))
        #expect(!present.isProvenDead(isThisMachine: true))
        var other = present
        other.start += 1
        #expect(other.isProvenDead(isThisMachine: false))
        other = present
        other.boot = "elsewhere/pid:[1]"
        #expect(!other.isProvenDead(isThisMachine: false))
        #expect(other.isProvenDead(isThisMachine: true))
    }
}
