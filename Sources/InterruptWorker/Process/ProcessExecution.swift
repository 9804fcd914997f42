internal import Glibc
internal import InterruptCore
internal import Logging
internal import Synchronization
internal import SystemPackage

/// One run from its pipes to its verified end: the shell around ``RunTeardown``, ``OutputSpool`` and ``Launcher``.
struct ProcessExecution: Sendable {
    let runner: ProcessRunner
    let order: RunOrder
    let scope: InterruptScope
    let pause: PauseSwitch
    let started: @Sendable (Int32) async -> Void
    let stuck: @Sendable (Holdout) async -> Void
    let output: @Sendable ([OutputChunk]) async -> Void

    /// A tree that runs, or has run.
    private struct Running {
        let teardown: RunTeardown
        let leader: pid_t
        let members: TreeMembers
    }

    /// Runs it all; `nil` when processes outlive SIGKILL and nobody waits for them any more.
    func run() async -> RunEnding? {
        let pipes: JobPipes
        do {
            pipes = try JobPipes()
        } catch {
            return SpawnFailure(text: "no pipe for the output: \(error)").ending
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
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while let chunks = await feed.next() { await output(chunks) }
            }
            var ending = await launch(pipes)
            if let ended = ending, let hook = RunHook(.onEnd, of: order, runner: runner) {
                let variables = RunHook.variables(of: ended, cause: scope.cause)
                if let error = await hook.run(variables, into: pipes) { ending?.hookErrors.append(error) }
            }
            if !order.hooks.isEmpty { pipes.closeChildEnds() }
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

    private func launch(_ pipes: JobPipes) async -> RunEnding? {
        let teardown: RunTeardown
        let containment: Containment
        let command: JobCommand
        do throws(SpawnFailure) {
            // The launcher has its own; hooks write into them, too.
            defer { if order.hooks.isEmpty { pipes.closeChildEnds() } }
            command = try JobCommand(order, baseEnvironment: runner.baseEnvironment)
            let launched = try await runner.launcher.start(
                LaunchSpec(command, leaf: order.run.rawValue),
                input: pipes.input,
                output: pipes.output.write,
                error: pipes.error.write
            )
            teardown = RunTeardown(of: LaunchedTree(socket: launched.socket), giveUpAfter: runner.giveUpAfter)
            containment = launched.containment
        } catch {
            return error.ending
        }
        switch await teardown.started() {
        case .failed(let step, let errno):
            return SpawnFailure(step, errno, program: command.program, directory: command.directory).ending
        case .abandoned:
            return await endOrphans()
        case .running(let leader, let supervisor):
            let members = TreeMembers(containment, run: order.run, supervisor: supervisor)
            return await watch(Running(teardown: teardown, leader: leader.pid, members: members), pipes)
        }
    }

    private func watch(_ running: Running, _ pipes: JobPipes) async -> RunEnding? {
        let teardown = running.teardown
        scope.enforce(order.limits, on: running.members.subject)
        // Not in a group: it must not be cancelled because the job was short.
        async let isTold: Void = started(running.leader)
        let (asked, ask) = AsyncStream.makeStream(of: InterruptSignal.self)
        async let hookError = runInterruptHook(asked, pipes)
        let (deadlines, deadline) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
        // What was asked since the run was claimed is carried out now, and the rest as it arrives.
        let end = await scope.reacting { signal in
            let gracePeriod = signal.gracePeriod ?? order.gracePeriod ?? runner.defaultGracePeriod
            let killAt = teardown.interrupt(stage: signal.stage, gracePeriod: gracePeriod)
            if let killAt { deadline.yield(killAt) }
            if signal.stage >= .terminate { ask.yield(signal) }
        } while: {
            await waitForEnd(of: running, deadlines)
        }
        await isTold
        ask.finish()
        var ending: RunEnding? =
            switch end {
            case .empty: self.ending(teardown)
            case .lost: lostEnding("its supervisor was ended by somebody")
            case .abandoned: await endOrphans()
            case .letGo: nil
            }
        if let error = await hookError { ending?.hookErrors.append(error) }
        return ending
    }

    /// Waits until the run is asked to end, and runs its hook for that; returns what went wrong with it.
    private func runInterruptHook(_ asked: AsyncStream<InterruptSignal>, _ pipes: JobPipes) async -> String? {
        guard let hook = RunHook(.onInterrupt, of: order, runner: runner),
            let signal = await asked.first(where: { _ in true })
        else { return nil }
        return await hook.run(RunHook.variables(of: signal), into: pipes)
    }

    /// Returns when nothing of the tree is left, or when that is not waited for any more.
    private func waitForEnd(
        of running: Running,
        _ deadlines: AsyncStream<ContinuousClock.Instant>
    ) async -> RunTeardown.End {
        let teardown = running.teardown
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await enforce(deadlines, teardown) }
            group.addTask {
                while let isPaused = await pause.next(), await teardown.freeze(isPaused) { pause.done(isPaused) }
            }
            group.addTask {
                guard await teardown.outlivesKill() else { return }
                let survivors = running.members.alive().map(Survivor.init)
                let holdout = Holdout(survivors: Survivor.text(survivors), elapsed: runner.giveUpAfter)
                runner.logger.error("\(holdout.text)", metadata: ["run": "\(order.run)"])
                await stuck(holdout)
                teardown.letGo()
            }
            let end = await withTaskCancellationHandler {
                await teardown.ended()
            } onCancel: {
                _ = teardown.interrupt(stage: .kill, gracePeriod: .zero)
            }
            group.cancelAll()
            return end
        }
    }

    private func enforce(_ deadlines: AsyncStream<ContinuousClock.Instant>, _ teardown: RunTeardown) async {
        await withDiscardingTaskGroup { group in
            for await killAt in deadlines {
                group.addTask {
                    do {
                        try await Task.sleep(until: killAt, clock: .continuous)
                        teardown.deadlineReached()
                    } catch {
                        // Cancelled: the run is over, or SIGKILL was sent.
                    }
                }
            }
        }
    }

    private func ending(_ teardown: RunTeardown) -> RunEnding {
        let wasInterruptAsked = scope.stage.shouldTerminateActiveTasks
        guard let outcome = teardown.outcome(wasInterruptAsked: wasInterruptAsked) else {
            return lostEnding("the launcher did not tell how it ended")
        }
        return outcome.ending
    }

    /// The ending of a run whose launcher has gone: nobody holds its processes together any more, so they are looked for.
    private func endOrphans() async -> RunEnding? {
        let tree = LeftTree(run: order.run, leader: nil)
        let survivors = await tree.end(within: runner.giveUpAfter)
        if survivors.isEmpty { return lostEnding("interrupt-launch was ended by somebody") }
        let holdout = Holdout(survivors: Survivor.text(survivors.map(Survivor.init)), elapsed: runner.giveUpAfter)
        runner.logger.error("\(holdout.text)", metadata: ["run": "\(order.run)"])
        await stuck(holdout)
        return nil
    }

    private func lostEnding(_ why: String) -> RunEnding {
        let isLate = scope.stage.shouldTerminateActiveTasks
        return RunEnding(state: .failed, isLateInterrupt: isLate, error: "\(why); what was left of it was ended")
    }
}
