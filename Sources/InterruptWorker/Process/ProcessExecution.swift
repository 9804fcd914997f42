internal import InterruptCore
internal import Logging
internal import SystemPackage

/// One run from its pipes to its verified end: the shell around ``RunTeardown``, ``OutputSpool`` and ``Launcher``.
///
/// A class, because each of its tasks has a reference: to copy the order for each took longer than what most of them do.
final class ProcessExecution: Sendable {
    let runner: ProcessRunner
    let order: RunOrder
    let scope: InterruptScope
    let pause: PauseSwitch
    let fence: RunFence?
    let started: @Sendable (Int32) async -> Void
    let stuck: @Sendable (Holdout) async -> Void
    let told: @Sendable (RunNote) -> Void
    let output: @Sendable ([OutputChunk]) async -> Void

    init(
        runner: ProcessRunner,
        order: RunOrder,
        scope: InterruptScope,
        pause: PauseSwitch,
        fence: RunFence?,
        started: @escaping @Sendable (Int32) async -> Void,
        stuck: @escaping @Sendable (Holdout) async -> Void,
        told: @escaping @Sendable (RunNote) -> Void,
        output: @escaping @Sendable ([OutputChunk]) async -> Void
    ) {
        (self.runner, self.order, self.scope, self.pause, self.fence) = (runner, order, scope, pause, fence)
        (self.started, self.stuck, self.told, self.output) = (started, stuck, told, output)
    }

    /// What the job is started from, and what holds its processes.
    private struct Launched {
        let teardown: RunTeardown
        let guardian: Launcher.Guard
        let command: JobCommand
    }

    /// Runs it all; `nil` when processes outlive SIGKILL and nobody waits for them any more.
    func run() async -> RunEnding? {
        let pipes: JobPipes
        do {
            pipes = try JobPipes()
        } catch {
            var ending = SpawnFailure(text: "no pipe for the output: \(error)").ending
            if order.hooks.onEnd != nil { ending.hookErrors.append("the on-end hook could not be started: \(error)") }
            return ending
        }
        let file = makeFile()
        let feed = OutputFeed(file: file.reader())
        let spool = OutputSpool(
            file: file,
            feed: feed,
            output: pipes.output.read,
            error: pipes.error.read,
            logger: runner.logger
        )
        scope.enforce(order.limits, onOutput: { spool.byteCount })
        let directory = runner.runDirectories.make(for: order)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while let chunks = await feed.next() { await self.output(chunks) }
            }
            var ending = await launch(pipes, directory)
            // What follows a lost run may be the same job elsewhere, and the hook would clean up behind that.
            if let ended = ending, ended.state != .lost,
                let hook = RunHook(.onEnd, of: order, runner: runner, directory: directory, fence: fence)
            {
                let variables = RunHook.variables(of: ended, cause: scope.cause)
                if let error = await hook.run(variables, into: pipes) { ending?.hookErrors.append(error) }
            }
            if !order.hooks.isEmpty { pipes.closeChildEnds() }
            if ending != nil, let problem = directory?.remove() {
                runner.logger.warning(
                    "the run directory is left",
                    metadata: ["run": "\(order.run)", "why": "\(problem)"]
                )
            }
            // A consumer that is far behind may hold up an end a little, but who has interrupted the run waits for that.
            let limit: Duration = scope.stage.shouldTerminateActiveTasks ? .seconds(1) : .seconds(3)
            await spool.finish(handingOutWithin: limit)
            ending?.output = spool.summary(path: path.string)
            return ending
        }
    }

    private var path: FilePath { runner.outputDirectory.appending(order.run.rawValue + ".log") }

    private func makeFile() -> OutputFile {
        // A run id is random text of our own making, but it came over the wire.
        guard FilePath.Component(order.run.rawValue + ".log") != nil else {
            return OutputFile(failed: .invalidArgument)
        }
        return OutputFile(creating: path, limit: runner.outputLimit)
    }

    private func launch(_ pipes: JobPipes, _ directory: RunDirectory?) async -> RunEnding? {
        let launched: Launched
        do throws(SpawnFailure) {
            // The launcher has its own; hooks write into them, too.
            defer { if order.hooks.isEmpty { pipes.closeChildEnds() } }
            let command = try JobCommand(
                order,
                baseEnvironment: runner.baseEnvironment,
                runDirectory: directory?.path
            )
            // Known before the start only where something is to be set.
            let settings =
                order.limits == RunLimits()
                ? [] : order.limits.settings(in: try await runner.launcher.ready().containment)
            let (socket, guardian) = try await runner.launcher.start(
                LaunchSpec(command, leaf: order.run.rawValue, settings: settings, fence: fence?.instant),
                input: pipes.input,
                output: pipes.output.write,
                error: pipes.error.write
            )
            let teardown = RunTeardown(of: LaunchedTree(socket: socket), giveUpAfter: runner.giveUpAfter)
            teardown.follow(fence)
            launched = Launched(teardown: teardown, guardian: guardian, command: command)
        } catch {
            return error.ending
        }
        return await watch(launched, pipes, directory)
    }

    private func watch(_ launched: Launched, _ pipes: JobPipes, _ directory: RunDirectory?) async -> RunEnding? {
        let hook = RunHook(.onInterrupt, of: order, runner: runner, directory: directory, fence: fence)
        guard let hook else {
            return await seeThrough(launched, directory) { _ in }
        }
        let (asked, ask) = AsyncStream.makeStream(of: InterruptSignal.self)
        async let hookError = run(hook, when: asked, pipes)
        var ending = await seeThrough(launched, directory) { ask.yield($0) }
        ask.finish()
        if let error = await hookError { ending?.hookErrors.append(error) }
        return ending
    }

    /// Carries out what is asked of the run, by its scope, its switch and itself, until its end.
    ///
    /// - Parameter onEndAsked: called when it is asked to end; it must return at once.
    private func seeThrough(
        _ launched: Launched,
        _ directory: RunDirectory?,
        onEndAsked: @escaping @Sendable (InterruptSignal) -> Void
    ) async -> RunEnding? {
        let teardown = launched.teardown
        if let directory {
            RunConversation(
                run: order.run,
                directory: directory,
                teardown: teardown,
                scope: scope,
                told: told,
                logger: runner.logger
            ).begin()
        }
        defer { directory?.stopListening() }
        // What was asked since the run was claimed is carried out now, and the rest as it arrives.
        return await scope.reacting { [order, runner] signal in
            teardown.interrupt(
                stage: signal.stage,
                gracePeriod: signal.gracePeriod ?? order.gracePeriod ?? runner.defaultGracePeriod,
                // A worker that is to end has promised when.
                moreTime: signal.reason == .systemShutdown ? .zero : runner.moreTime
            ) {
                directory?.announce(signal, deadline: $0)
            }
            if signal.stage >= .terminate { onEndAsked(signal) }
        } while: {
            async let _: Void = followPause(teardown)
            return await withTaskCancellationHandler {
                await end(of: launched)
            } onCancel: {
                teardown.interrupt(stage: .kill, gracePeriod: .zero)
            }
        }
    }

    private func followPause(_ teardown: RunTeardown) async {
        var (retry, said) = (RetryPause(), Errno?.none)
        while let isPaused = await pause.next() {
            let freezing = await teardown.freeze(isPaused) {
                // Else the others would stand still as well, for as long as one hangs in the kernel.
                if isPaused, await self.pause.isTakenBack() { teardown.ask(toFreeze: false) }
            }
            switch freezing {
            case .done:
                (retry, said) = (RetryPause(), nil)
                pause.done(isPaused)
            case .failed(let errno):
                pause.failed()
                if errno == .canceled { continue }  // taken back
                if said != errno { sayFailed(isPaused, errno) }
                said = errno
                await retry.wait(orUntil: nil)
            case .ending: return
            }
        }
    }

    private func sayFailed(_ isPaused: Bool, _ errno: Errno) {
        runner.logger.warning(
            isPaused ? "a run could not be paused" : "a paused run could not go on",
            metadata: ["run": "\(order.run)", "why": "\(errno)"]
        )
    }

    /// Sees the run from its start to its end.
    private func end(of launched: Launched) async -> RunEnding? {
        switch await launched.teardown.started() {
        case .failed(.fence, _): return .fenced
        case .failed(let step, let errno):
            let command = launched.command
            return SpawnFailure(step, errno, program: command.program, directory: command.directory).ending
        case .unknown: return await ending(after: await ended(launched), of: launched)
        case .running(let leader):
            scope.enforce(order.limits, on: subject(of: launched))
            async let isTold: Void = started(leader.pid)
            let end = await ended(launched)
            await isTold
            return await ending(after: end, of: launched)
        }
    }

    /// Waits for the end. Says it when processes outlive SIGKILL, and then waits as long as that is worth.
    private func ended(_ launched: Launched) async -> RunTeardown.End {
        guard await launched.teardown.outlivesKill() else { return await launched.teardown.ended() }
        async let _: Void = {
            await report(members(of: launched).alive())
            launched.teardown.letGo()
        }()
        return await launched.teardown.ended()
    }

    private func ending(after end: RunTeardown.End, of launched: Launched) async -> RunEnding? {
        switch end {
        case .empty: return outcome(of: launched.teardown)
        case .lost: return lostEnding("its supervisor was ended by somebody")
        case .abandoned:
            runner.launcher.forget(launched.guardian)
            return await endOrphans(of: launched.teardown)
        case .letGo: return nil
        }
    }

    /// Waits until the run is asked to end, and runs its hook for that; returns what went wrong with it.
    private func run(_ hook: RunHook, when asked: AsyncStream<InterruptSignal>, _ pipes: JobPipes) async -> String? {
        guard let signal = await asked.first(where: { _ in true }) else { return nil }
        return await hook.run(RunHook.variables(of: signal), into: pipes)
    }

    private func report(_ survivors: [ProcessStatus]) async {
        let holdout = Holdout(survivors: Survivor.text(survivors.map(Survivor.init)), elapsed: runner.giveUpAfter)
        runner.logger.error("\(holdout.text)", metadata: ["run": "\(order.run)"])
        await stuck(holdout)
    }

    /// Who is measured for the run's limits: nobody once it is over.
    private func subject(of launched: Launched) -> ResourceSubject {
        .members(name: "the run's processes") {
            let members = self.members(of: launched)
            let pids = members.alive().map(\.pid)
            // Else they may be those of another run.
            return members == self.members(of: launched) ? pids : []
        }
    }

    private func members(of launched: Launched) -> TreeMembers {
        TreeMembers(launched.guardian.containment, run: order.run, supervisor: launched.teardown.supervisor)
    }

    private func outcome(of teardown: RunTeardown) -> RunEnding {
        let wasInterruptAsked = scope.stage.shouldTerminateActiveTasks
        guard let outcome = teardown.outcome(wasInterruptAsked: wasInterruptAsked) else {
            return lostEnding("the launcher did not tell how it ended")
        }
        return outcome.ending
    }

    /// The ending of a run whose launcher has gone: nobody holds its processes together any more, so they are looked for.
    private func endOrphans(of teardown: RunTeardown) async -> RunEnding? {
        let tree = LeftTree(run: order.run, leader: teardown.leaderIdentity)
        let survivors = await tree.end(within: runner.giveUpAfter)
        let lost = lostEnding("interrupt-launch was ended by somebody")
        if survivors.isEmpty { return lost }
        return await withTaskGroup(of: RunEnding?.self) { group in
            group.addTask {
                await self.report(survivors)
                return nil
            }
            group.addTask {
                while !Task.isCancelled {
                    if await tree.end(within: self.runner.giveUpAfter).isEmpty { return lost }
                }
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private func lostEnding(_ why: String) -> RunEnding {
        let isLate = scope.stage.shouldTerminateActiveTasks
        return RunEnding(state: .failed, isLateInterrupt: isLate, error: "\(why); what was left of it was ended")
    }
}
