import Foundation
import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(5)), .serialized) struct `Many processes` {
    private func runner(_ hold: Hold, in directory: TemporaryDirectory) -> ProcessRunner {
        ProcessRunner(
            outputDirectory: directory.path,
            defaultGracePeriod: .seconds(5),
            baseEnvironment: ["PATH": "/usr/bin:/bin"],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            giveUpAfter: .seconds(30),
            usesCgroups: hold == .cgroup
        )
    }

    @Test(arguments: Hold.allCases) func `of a fork storm are all gone after the kill`(hold: Hold) async throws {
        let directory = try TemporaryDirectory()
        let runner = runner(hold, in: directory)
        for stage in [InterruptStage.kill, .terminate] {
            var order = try RunOrder(
                bash:
                    "trap '' TERM; for i in {1..500}; do (trap '' TERM; setsid sleep 100) & done; echo ready; wait"
            )
            order.gracePeriod = .milliseconds(100)
            let ending = await withInterruptScope(run: order.run) { [order] scope in
                await runner.run(order, scope: scope) { _ in scope.interrupt(stage: stage) }
            }
            #expect(ending?.state == .interrupted)
            #expect(carriers(of: order.run).isEmpty)
        }
    }

    @Test(arguments: Hold.allCases) func `that go on forking while they are killed are all gone`(hold: Hold)
        async throws
    {
        let directory = try TemporaryDirectory()
        let runner = runner(hold, in: directory)
        for _ in 0..<5 {
            // A bomb of bounded width: each of 30 chains forks a successor and ends, for ever.
            let order = try RunOrder(
                bash:
                    "hop() { hop & }; trap '' TERM; for i in {1..30}; do hop & done; echo ready; wait; sleep 100"
            )
            let ending = await withInterruptScope(run: order.run) { scope in
                await runner.run(order, scope: scope) { _ in scope.interrupt(stage: .kill) }
            }
            #expect(ending?.termSignal == SIGKILL)
            #expect(carriers(of: order.run).isEmpty)
        }
    }

    /// As another user, because root is not bound by a limit of processes.
    @Test(.enabled(if: getuid() == 0, "only root can become another user"), arguments: Hold.allCases)
    func `of a fork bomb at its limit are gone soon after the kill, and the next run starts`(hold: Hold) async throws {
        let directory = try TemporaryDirectory()
        let runner = runner(hold, in: directory)
        // The limit is one for all processes of a user: this one has no others.
        let user = UInt32.random(in: 100_000..<1_000_000_000)
        for _ in 0..<3 {
            // Its leader forks no more: a shell that cannot do so for long gives up.
            let order = try RunOrder(
                bash: """
                    ulimit -u 300; exec 2>/dev/null
                    exec setpriv --reuid \(user) --regid \(user) --clear-groups bash -c \
                        'bomb() { bomb | bomb & }; (while :; do bomb; sleep 0.01; done) & exec sleep 100'
                    """
            )
            let ending = try await withInterruptScope(run: order.run) { scope in
                async let ending = runner.run(order, scope: scope) { _ in }
                try await eventually("it has reached its limit") { carriers(of: order.run).count > 200 }
                let asked = ContinuousClock.now
                scope.interrupt(stage: .kill)
                let ended = await ending
                let time = ContinuousClock.now - asked
                print("a fork bomb at its limit, \(hold): gone in \(time)")
                #expect(time < .seconds(20))
                return ended
            }
            #expect(ending?.state == .interrupted)
            #expect(carriers(of: order.run).isEmpty)
            let next = try RunOrder(bash: "exit 0")
            let well = await withInterruptScope(run: next.run) { await runner.run(next, scope: $0) { _ in } }
            #expect(well?.bare == RunEnding(state: .completed, exitCode: 0))
        }
    }

    @Test(arguments: Hold.allCases)
    func `five hundred that exit in the same moment end right, each of them`(hold: Hold) async throws {
        let directory = try TemporaryDirectory()
        let runner = runner(hold, in: directory)
        let gate = "\(directory.path)/gate"
        try #require(mkfifo(gate, 0o600) == 0)
        // The end of a pipe that all of them read lets all go at once.
        let writer = open(gate, O_RDWR | O_CLOEXEC)
        let seen = SeenOutput()
        let (results, holders) = await withTaskGroup(of: (Int32, Int32?).self) { group in
            for number in 0..<500 {
                group.addTask {
                    let code = Int32(number % 256)
                    let script = "exec 3<'\(gate)'; echo up=$PPID; read -u 3 line; exit \(code)"
                    guard let order = try? RunOrder(bash: script) else { return (code, nil) }
                    let ending = await withInterruptScope(run: order.run) { scope in
                        await runner.run(order, scope: scope) { seen.take($0) }
                    }
                    return (code, ending?.exitCode)
                }
            }
            // By their own word: others on this machine may wait in the same way. Who comes when it has closed waits for ever.
            try? await eventually("all are at the gate", within: .seconds(200)) { seen.chunks.count >= 500 }
            // Its own guard, or its supervisors and theirs: others may have something to reap at any time.
            let parents = Set(numbers(after: "up", in: seen.text()))
            let above = parents.compactMap { ProcessStatus(of: $0)?.parent }
            let guards = above.filter { ProcessStatus(of: $0)?.name == "interrupt-guard" }
            close(writer)
            var results: [(Int32, Int32?)] = []
            for await result in group { results.append(result) }
            return (results, parents.union(guards))
        }
        #expect(results.count == 500)
        #expect(results.allSatisfy { $0.0 == $0.1 })
        try #require(!holders.isEmpty)
        try await eventually("what has ended is reaped") {
            let all = ProcessStatus.allProcesses().compactMap(ProcessStatus.init(of:))
            return !all.contains { holders.contains($0.parent) && $0.state == "Z" }
        }
    }

    @Test(arguments: Hold.allCases)
    func `of the program itself are left to it: their statuses are not taken`(hold: Hold) async throws {
        let directory = try TemporaryDirectory()
        let runner = runner(hold, in: directory)
        var pid = pid_t()
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup("-c"), strdup("exit 7"), nil]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, nil) == 0)
        let order = try RunOrder(bash: "exit 3")
        let ending = await withInterruptScope(run: order.run) { scope in
            await runner.run(order, scope: scope) { _ in }
        }
        #expect(ending?.exitCode == 3)
        var status: Int32 = 0
        #expect(waitpid(pid, &status, 0) == pid)
        #expect((status >> 8) & 0xFF == 7)
    }
}
