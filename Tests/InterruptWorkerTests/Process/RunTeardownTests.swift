import Glibc
import InterruptCore
import Logging
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `Run teardown` {
    /// A teardown whose launcher is the socket that is returned beside it.
    private func teardownOnSocket() throws -> (RunTeardown, launcher: Int32) {
        var sockets: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &sockets) == 0)
        return (RunTeardown(of: LaunchedTree(socket: sockets[0]), giveUpAfter: .seconds(60)), sockets[1])
    }

    /// Tells of this process as the leader. Its pidfd is left out, as the kernel does where a process has no descriptor free.
    private func tellStart(on launcher: Int32) throws {
        let started: [Int32] = [2, getpid(), 0, 0, 0]  // LAUNCH_STARTED
        try #require(send(launcher, started, 20, 0) == 20)
    }

    private func nextRequest(on launcher: Int32) -> LaunchedTree.Request? {
        var request: UInt8 = 0
        return recv(launcher, &request, 1, 0) == 1 ? LaunchedTree.Request(rawValue: request) : nil
    }

    @Test func `has the launcher ask a leader whose pidfd did not arrive`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        try tellStart(on: launcher)
        guard case .running = await teardown.started() else {
            Issue.record("not started")
            return
        }
        teardown.interrupt(stage: .terminate, gracePeriod: .seconds(60))
        #expect(nextRequest(on: launcher) == .terminateAll)
        close(launcher)
        #expect(await teardown.ended() == .abandoned)
    }

    @Test func `lets nobody who has stopped itself go on before it is asked to end`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        // Its output may be read before its start is.
        teardown.interrupt(stage: .terminate, gracePeriod: .seconds(60))
        try tellStart(on: launcher)
        #expect(nextRequest(on: launcher) == .terminateAll)
        close(launcher)
        #expect(await teardown.ended() == .abandoned)
    }

    @Test func `says that a tree is not frozen when it is too deep for all to be found`() async throws {
        let script = "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); true); else echo ready; sleep 1000; fi; }; f 300"
        var job = try JobUnderTest("sh", "-c", script)
        job.usesCgroups = false
        let pipes = try JobPipes()
        let launcher = Launcher(program: nil, usesCgroups: false, jobDescriptors: nil, logger: job.runner.logger)
        let launched = try await launcher.start(
            LaunchSpec(try JobCommand(job.order, baseEnvironment: job.base), leaf: "leaf"),
            input: pipes.input,
            output: pipes.output.write,
            error: pipes.error.write
        )
        let teardown = RunTeardown(of: LaunchedTree(socket: launched.socket), giveUpAfter: .seconds(60))
        await DescriptorWatch(pipes.output.read).readable()
        #expect(await teardown.freeze(true) == false)
        let states = carriers(of: job.order.run).compactMap { ProcessStatus(of: $0)?.state }
        #expect(states.count >= 300)
        #expect(!states.contains("T"), "none is left standing either")
        teardown.interrupt(stage: .kill, gracePeriod: .zero)
        #expect(await teardown.ended() == .empty)
        #expect(carriers(of: job.order.run).isEmpty)
        pipes.closeChildEnds()
    }
}
