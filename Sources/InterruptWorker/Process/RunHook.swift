internal import InterruptCore
internal import Logging

/// A command that belongs to a run and is run beside it or after it: in a tree of its own, with a limit of its own. What
/// goes wrong with it is told, and stops nothing else.
struct RunHook: Sendable {
    enum Kind: String {
        /// Begins when the run is first asked to end, by whatever.
        case onInterrupt = "on-interrupt"
        /// Begins when nothing of the run is left, however it ended, and also when it could not be started.
        case onEnd = "on-end"
    }

    let kind: Kind
    let command: RunHooks.Command
    let order: RunOrder
    let runner: ProcessRunner
    let directory: RunDirectory?
    /// That of its run: after it somebody else may do the same job.
    let fence: RunFence?

    /// `nil` when the run has no such hook.
    init?(_ kind: Kind, of order: RunOrder, runner: ProcessRunner, directory: RunDirectory?, fence: RunFence?) {
        let command = kind == .onEnd ? order.hooks.onEnd : order.hooks.onInterrupt
        guard let command else { return nil }
        (self.kind, self.command, self.order, self.runner) = (kind, command, order, runner)
        (self.directory, self.fence) = (directory, fence)
    }

    /// Runs the hook, and returns when nothing of it is left, at most as long as its limit and the wait for SIGKILL. Not
    /// ended by cancellation.
    ///
    /// - Parameters:
    ///   - variables: what it has set besides the variables of the run itself.
    ///   - pipes: where it writes: into the output of the run.
    /// - Returns: one sentence about what went wrong; `nil` when nothing did.
    func run(_ variables: [String: String], into pipes: JobPipes) async -> String? {
        var error: String?
        do throws(SpawnFailure) {
            let (teardown, command) = try await launch(variables, pipes)
            // From here on, because even the start can hang.
            let limit = order.hooks.limit
            let alarm = AlarmClock.ofProcess.setAlarm(at: .now + limit) {
                teardown.interrupt(stage: .kill, gracePeriod: .zero)
            }
            defer { alarm.cancel() }
            async let isStuck = teardown.outlivesKill()
            if case .failed(let step, let errno) = await teardown.started() {
                throw SpawnFailure(step, errno, program: command.program, directory: command.directory)
            }
            error = await end(of: teardown, isStuck: await isStuck)
        } catch {
            return report("could not be started: \(error.text)")
        }
        return error.map(report)
    }

    private func launch(
        _ variables: [String: String],
        _ pipes: JobPipes
    ) async throws(SpawnFailure) -> (RunTeardown, JobCommand) {
        var order = order
        order.work =
            switch command {
            case .shell(let text): .command(["/bin/sh", "-c", text].map { Array($0.utf8) })
            case .program(let words): .command(words)
            }
        for (name, value) in variables { order.environment[name] = Array(value.utf8.filter { $0 != 0 }) }
        let command = try JobCommand(
            order,
            baseEnvironment: runner.baseEnvironment,
            runDirectory: directory?.path
        )
        let launched = try await runner.launcher.start(
            LaunchSpec(command, leaf: "\(order.run).\(kind.rawValue)", fence: fence?.instant),
            input: pipes.input,
            output: pipes.output.write,
            error: pipes.error.write
        )
        let teardown = RunTeardown(of: LaunchedTree(socket: launched.socket), giveUpAfter: runner.giveUpAfter)
        teardown.follow(fence)
        return (teardown, command)
    }

    private func end(of teardown: RunTeardown, isStuck: Bool) async -> String? {
        let limit = order.hooks.limit
        if isStuck {
            teardown.letGo()
            return "did not end after its limit of \(limit.displayText), and outlives SIGKILL"
        }
        guard await teardown.ended() == .empty, let outcome = teardown.outcome(wasInterruptAsked: false) else {
            return "was ended by somebody"
        }
        switch outcome.status {
        case .exited(code: 0): return nil
        case .exited(let code): return "failed with exit code \(code)"
        case .signalled where outcome.wasFenced: return "was killed: its worker's lease was over"
        case .signalled where !outcome.sent.isEmpty: return "was killed after its limit of \(limit.displayText)"
        case .signalled(let signal, _): return "was ended by \(SignalName.of(signal))"
        }
    }

    private func report(_ problem: String) -> String {
        let text = "the \(kind.rawValue) hook \(problem)"
        runner.logger.error("\(text)", metadata: ["run": "\(order.run)", "job": "\(order.job)"])
        return text
    }
}

extension RunHook {
    /// What an interrupt tells the hook.
    static func variables(of signal: InterruptSignal) -> [String: String] {
        [
            "INTERRUPT_STAGE": "\(signal.stage.rawValue)", "INTERRUPT_REASON": signal.reason.rawValue,
            "INTERRUPT_MESSAGE": signal.message ?? "", "INTERRUPT_TRIGGERED_BY": signal.triggeredBy ?? "",
        ]
    }

    /// What the end tells the hook.
    static func variables(of ending: RunEnding, cause: InterruptSignal?) -> [String: String] {
        var variables = cause.map(variables(of:)) ?? [:]
        variables["INTERRUPT_STATE"] = ending.state.rawValue
        variables["INTERRUPT_EXIT_CODE"] = ending.exitCode.map { "\($0)" } ?? ""
        variables["INTERRUPT_TERM_SIGNAL"] = ending.termSignal.map(SignalName.of) ?? ""
        return variables
    }
}
