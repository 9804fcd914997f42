import Glibc
import InterruptCore
import InterruptTesting
import Logging
import SystemPackage
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
        try tell(.started, getpid(), on: launcher)
    }

    /// What the launcher tells, with the numbers of `launch_event_kind`.
    private enum Told: Int32 {
        case started = 2
        case frozen = 4, thawed, exited
    }

    private func tell(_ told: Told, _ first: Int32 = 0, on launcher: Int32) throws {
        let event: [Int32] = [told.rawValue, first, 0, 0, 0]
        try #require(send(launcher, event, 20, 0) == 20)
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

    @Test func `does not call a tree frozen that was let go on when it was`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        try tellStart(on: launcher)
        async let freezing = teardown.freeze(true) { _ = teardown.ask(toFreeze: false) }
        #expect(nextRequest(on: launcher) == .freeze)
        #expect(nextRequest(on: launcher) == .thaw)
        try tell(.frozen, on: launcher)
        try tell(.thawed, on: launcher)
        #expect(await freezing == .failed(.canceled))
        close(launcher)
        #expect(await teardown.ended() == .abandoned)
    }

    @Test func `does not call a tree frozen whose leader has ended`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        try tellStart(on: launcher)
        async let freezing = teardown.freeze(true)
        #expect(nextRequest(on: launcher) == .freeze)
        try tell(.exited, Int32(CLD_EXITED), on: launcher)
        try tell(.frozen, on: launcher)
        #expect(await freezing == .ending)
        close(launcher)
        #expect(await teardown.ended() == .abandoned)
    }

    @Test func `does not call a tree frozen that was asked to end meanwhile`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        try tellStart(on: launcher)
        async let freezing = teardown.freeze(true)
        #expect(nextRequest(on: launcher) == .freeze)
        teardown.interrupt(stage: .terminate, gracePeriod: .seconds(60))
        try tell(.frozen, on: launcher)
        #expect(await freezing == .ending)
        close(launcher)
        #expect(await teardown.ended() == .abandoned)
    }

    @Test func `calls a tree going on that ends at once then`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        try tellStart(on: launcher)
        async let freezing = teardown.freeze(false)
        #expect(nextRequest(on: launcher) == .thaw)
        let events = [[Told.thawed.rawValue, 0, 0, 0, 0], [Told.exited.rawValue, Int32(CLD_EXITED), 0, -1, 1]]
        for event in events { try #require(send(launcher, event, 20, 0) == 20) }
        #expect(await teardown.ended() == .empty)
        #expect(await freezing == .done)
        close(launcher)
    }

    @Test func `lets a tree go on that is not frozen yet`() async throws {
        let (teardown, launcher) = try teardownOnSocket()
        try tellStart(on: launcher)
        async let freezing = teardown.freeze(true)
        #expect(nextRequest(on: launcher) == .freeze)
        teardown.ask(toFreeze: false)
        #expect(nextRequest(on: launcher) == .thaw)
        try tell(.frozen, ECANCELED, on: launcher)
        try tell(.thawed, on: launcher)
        #expect(await freezing == .failed(.canceled))
        async let again = teardown.freeze(true)
        #expect(nextRequest(on: launcher) == .freeze)
        try tell(.frozen, on: launcher)
        #expect(await again == .done)
        close(launcher)
        #expect(await teardown.ended() == .abandoned)
    }

    /// The teardown of a script's run without a cgroup, which has printed something.
    private func supervised(_ script: String) async throws -> (RunTeardown, JobUnderTest, JobPipes) {
        let begun = try await beginning(script)
        await DescriptorWatch(begun.2.output.read).readable()
        return begun
    }

    /// The same of a run that has just been asked for.
    private func beginning(_ script: String) async throws -> (RunTeardown, JobUnderTest, JobPipes) {
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
        return (RunTeardown(of: LaunchedTree(socket: launched.socket), giveUpAfter: .seconds(60)), job, pipes)
    }

    @Test func `says that a tree is not frozen when it is too deep for all to be found`() async throws {
        let script = "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); true); else echo ready; sleep 1000; fi; }; f 300"
        let (teardown, job, pipes) = try await supervised(script)
        #expect(await teardown.freeze(true) == .failed(.tooManySymbolicLinkLevels))
        let states = carriers(of: job.order.run).compactMap { ProcessStatus(of: $0)?.state }
        #expect(states.count >= 300)
        #expect(!states.contains("T"), "none is left standing either")
        teardown.interrupt(stage: .kill, gracePeriod: .zero)
        #expect(await teardown.ended() == .empty)
        #expect(carriers(of: job.order.run).isEmpty)
        pipes.closeChildEnds()
    }

    @Test func `freezes a leader at whatever point of its start`() async throws {
        for _ in 0..<300 {
            let (teardown, job, pipes) = try await beginning("exec sleep 1000")
            #expect(await teardown.freeze(true) == .done)
            // Whoever is sent SIGSTOP stops a moment later.
            try await eventually("it stands still") {
                carriers(of: job.order.run).allSatisfy { ProcessStatus(of: $0)?.state == "T" }
            }
            teardown.interrupt(stage: .kill, gracePeriod: .zero)
            #expect(await teardown.ended() == .empty)
            pipes.closeChildEnds()
        }
    }

    @Test func `lets a leader react that is stopped after it was asked to end`() async throws {
        let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"
        let (teardown, _, pipes) = try await supervised(script)
        _ = await teardown.started()
        let supervisor = try #require(teardown.supervisor)
        let guardian = try #require(ProcessStatus(of: supervisor)?.parent)
        kill(guardian, SIGSTOP)  // it would end a supervisor that stands still
        defer { kill(guardian, SIGCONT) }
        kill(supervisor, SIGSTOP)
        try await eventually("it hears nothing") { ProcessStatus(of: supervisor)?.state == "T" }
        teardown.ask(toFreeze: true)
        teardown.interrupt(stage: .terminate, gracePeriod: .seconds(20))
        kill(supervisor, SIGCONT)
        #expect(await teardown.ended() == .empty)
        #expect(teardown.outcome(wasInterruptAsked: true)?.ending.exitCode == 3)
        pipes.closeChildEnds()
    }
}
