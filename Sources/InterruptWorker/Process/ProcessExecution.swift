internal import Glibc
internal import InterruptCore
internal import Logging
internal import Subprocess
internal import SystemPackage

/// One run from its pipes to its verified end: the shell around ``RunTeardown``, ``OutputSpool`` and swift-subprocess.
struct ProcessExecution: Sendable {
    let runner: ProcessRunner
    let order: RunOrder
    let command: JobCommand
    let scope: InterruptScope
    let pause: PauseSwitch
    let cancellations: AsyncStream<Void>
    let started: @Sendable (Int32) async -> Void
    let output: @Sendable ([OutputChunk]) async -> Void

    /// What is known when the leader has exited and its group has been sent SIGKILL for what was left.
    private struct LeaderEnd {
        let teardown: RunTeardown
        let group: ProcessGroup
        let status: JobOutcome.WaitStatus?
    }

    private var logger: Logger {
        var logger = runner.logger
        logger[metadataKey: "run"] = "\(order.run)"
        return logger
    }

    /// Runs it all. A leader that outlives SIGKILL is reported to `early`, and then waited for nevertheless.
    func run(reportingSurvivors early: EndingPromise) async -> RunEnding {
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
            logger: logger
        )
        scope.enforce(order.limits, onOutput: { spool.byteCount })
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while let chunks = await feed.next() { await output(chunks) }
            }
            var ending = await spawn(pipes, early)
            // A consumer that is far behind may hold up an end a little, but who has interrupted the run waits for that.
            let limit: Duration = scope.stage.shouldTerminateActiveTasks ? .seconds(1) : .seconds(3)
            await spool.finish(handingOutWithin: limit)
            ending.output = spool.summary(path: path.string)
            return ending
        }
    }

    private var path: FilePath { runner.outputDirectory.appending(order.run.rawValue + ".log") }

    private func makeFile() -> OutputFile {
        // A run id is random text of our own making, but it came over the wire.
        guard FilePath.Component(order.run.rawValue + ".log") != nil else {
            return OutputFile(failed: .invalidArgument)
        }
        return OutputFile(creating: path)
    }

    private func spawn(_ pipes: JobPipes, _ early: EndingPromise) async -> RunEnding {
        var options = PlatformOptions()
        options.createSession = true
        let configuration = Configuration(
            executable: .path(command.program),
            arguments: Arguments(
                executablePathOverride: command.arguments[0],
                remainingValues: Array(command.arguments.dropFirst())
            ),
            environment: .custom(command.environment),
            workingDirectory: command.directory,
            platformOptions: options
        )
        do {
            let end = try await Subprocess.run(
                configuration,
                input: .fileDescriptor(FileDescriptor(rawValue: pipes.input), closeAfterSpawningProcess: true),
                output: .fileDescriptor(FileDescriptor(rawValue: pipes.output.write), closeAfterSpawningProcess: true),
                error: .fileDescriptor(FileDescriptor(rawValue: pipes.error.write), closeAfterSpawningProcess: true)
            ) { execution in
                await watch(execution.processIdentifier, early)
            }.closureResult
            return await ending(end)
        } catch {
            return SpawnFailure(error, program: command.program, directory: command.directory).ending
        }
    }

    /// Returns when the leader has exited and its group has been dealt with. The leader is unreaped all the while, which
    /// is what makes signalling its group safe.
    private func watch(_ process: ProcessIdentifier, _ early: EndingPromise) async -> LeaderEnd {
        let processGroup = ProcessGroup(leader: process.value, leaderDescriptor: process.processDescriptor)
        let teardown = RunTeardown(of: processGroup, giveUpAfter: runner.giveUpAfter)
        scope.enforce(order.limits, on: .processTree(process.value))
        // Not in the group: it must not be cancelled because the job was short.
        async let isTold: Void = started(process.value)
        let (deadlines, deadline) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
        // What was asked since the run was claimed is carried out now, and the rest as it arrives.
        let end = await scope.reacting { signal in
            let gracePeriod = signal.gracePeriod ?? order.gracePeriod ?? runner.defaultGracePeriod
            let killAt = teardown.interrupt(stage: signal.stage, gracePeriod: gracePeriod)
            if let killAt { deadline.yield(killAt) }
        } while: {
            await waitForEnd(of: processGroup, teardown, deadlines, early)
        }
        await isTold
        return end
    }

    private func waitForEnd(
        of processGroup: ProcessGroup,
        _ teardown: RunTeardown,
        _ deadlines: AsyncStream<ContinuousClock.Instant>,
        _ early: EndingPromise
    ) async -> LeaderEnd {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await enforce(deadlines, teardown) }
            group.addTask {
                while let isPaused = await pause.next(), teardown.freeze(isPaused) { pause.done(isPaused) }
            }
            group.addTask {
                for await _ in cancellations { _ = teardown.interrupt(stage: .kill, gracePeriod: .zero) }
            }
            if await !teardown.exited(processGroup.leaderDescriptor) {
                early.fulfil(ending(survivors: processGroup.liveMembers().map(Survivor.init)))
                await DescriptorWatch(processGroup.leaderDescriptor).readable()
            }
            if teardown.leaderExited() { _ = await teardown.waitForMembers(isForced: false) }
            // Whatever is left: of a job that ended by itself everything, else nothing or what was forked just now.
            processGroup.send(SIGKILL)
            group.cancelAll()
            return LeaderEnd(teardown: teardown, group: processGroup, status: processGroup.leaderStatus())
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
                        // Cancelled: the run is over.
                    }
                }
            }
        }
    }

    /// Verifies that the group is empty, now that its leader is reaped, and decides the ending.
    private func ending(_ end: LeaderEnd) async -> RunEnding {
        guard let status = end.status else {
            return RunEnding(state: .failed, error: "how the process ended could not be read")
        }
        var outcome = end.teardown.outcome(status, wasInterruptAsked: scope.stage.shouldTerminateActiveTasks)
        if !end.group.isProvenEmpty {
            outcome.survivors = await end.teardown.waitForMembers(isForced: true).map(Survivor.init)
        }
        if let error = outcome.ending.error { logger.error("\(error)") }
        return outcome.ending
    }

    /// The ending of a run whose leader itself is among the survivors.
    private func ending(survivors: [Survivor]) -> RunEnding {
        let error = Survivor.text(survivors)
        logger.error("\(error)")
        return RunEnding(state: .failed, error: error, survivors: survivors.map(\.pid))
    }
}
