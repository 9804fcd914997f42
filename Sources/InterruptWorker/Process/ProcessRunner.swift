public import InterruptCore
public import Logging
internal import Synchronization
public import SystemPackage

/// Runs orders as child processes: spawns, keeps the output, carries out interrupts, and sees each tree to its end.
public struct ProcessRunner: Sendable {
    let outputDirectory: FilePath
    let defaultGracePeriod: Duration
    let baseEnvironment: [String: String]
    let logger: Logger
    let giveUpAfter: Duration

    /// A runner of any number of runs at a time.
    ///
    /// - Parameters:
    ///   - outputDirectory: where `<run>.log` is made for each run. It must exist.
    ///   - defaultGracePeriod: the time between asking and forcing where neither the interrupt nor the order says.
    ///   - baseEnvironment: the worker's environment. Of it, only `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`,
    ///     `LC_*`, `TZ` and `TMPDIR` reach a job.
    ///   - logger: told of what goes wrong beside the job: its file, its survivors.
    ///   - giveUpAfter: how long processes may outlive SIGKILL before they are reported instead of waited for.
    public init(
        outputDirectory: FilePath,
        defaultGracePeriod: Duration,
        baseEnvironment: [String: String],
        logger: Logger,
        giveUpAfter: Duration = StopLimits.survival
    ) {
        self.outputDirectory = outputDirectory
        self.defaultGracePeriod = defaultGracePeriod
        self.baseEnvironment = baseEnvironment
        self.logger = logger
        self.giveUpAfter = giveUpAfter
    }

    /// Runs `order` and returns how it ended, once no process of its group is left or the survivors of SIGKILL are
    /// named in `RunEnding.error`.
    ///
    /// The run reacts to `scope`: stage 2 sends SIGTERM and, after the grace period, SIGKILL; stage 3 sends SIGKILL;
    /// stage 1 does nothing. When stage 2 or harder was asked before the call, nothing is spawned. Cancelling the task
    /// is stage 3. Never throws: what cannot be started has an ending too.
    ///
    /// - Parameters:
    ///   - order: what to run.
    ///   - scope: the run's scope.
    ///   - pause: freezes the processes while it is set, unless they are asked to end: that they can always react to.
    ///   - started: called once with the leader's pid when it runs, beside everything else; `run` returns after it.
    ///   - output: called with the output, one call at a time: the first bytes at once, then every 50 ms, or as fast as
    ///     it returns when more waits. However long it takes, the job is not slowed down: of one that is more than
    ///     16 MiB ahead, or that goes on flooding, the oldest is left out, which shows as a gap between offsets. `run`
    ///     returns after the last call, at most three seconds and a call after the end of the job.
    public func run(
        _ order: RunOrder,
        scope: InterruptScope,
        pause: PauseSwitch = PauseSwitch(),
        started: @escaping @Sendable (_ pid: Int32) async -> Void = { _ in },
        output: @escaping @Sendable ([OutputChunk]) async -> Void
    ) async -> RunEnding {
        if scope.stage.shouldTerminateActiveTasks || Task.isCancelled { return RunEnding(state: .interrupted) }
        let command: JobCommand
        do {
            command = try JobCommand(order, baseEnvironment: baseEnvironment)
        } catch {
            return error.ending
        }
        let (cancellations, cancellation) = AsyncStream.makeStream(of: Void.self)
        let execution = ProcessExecution(
            runner: self,
            order: order,
            command: command,
            scope: scope,
            pause: pause,
            cancellations: cancellations,
            started: started,
            output: output
        )
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ending = EndingPromise(continuation)
                // Awaited right here through `ending`. Not a child task: swift-subprocess would end the leader by itself
                // on cancellation, before we could note that we did, and a leader that outlives SIGKILL must not hold
                // up its run for ever: only then does this task go on, until the kernel lets the leader go.
                Task { ending.fulfil(await execution.run(reportingSurvivors: ending)) }
            }
        } onCancel: {
            cancellation.yield()
        }
    }
}

/// The ending that a run's caller waits for. The first one counts.
final class EndingPromise: Sendable {
    private let continuation: Mutex<CheckedContinuation<RunEnding, Never>?>

    init(_ continuation: CheckedContinuation<RunEnding, Never>) {
        self.continuation = Mutex(continuation)
    }

    /// Resumes the caller, unless it has been already.
    func fulfil(_ ending: RunEnding) {
        let continuation = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        continuation?.resume(returning: ending)
    }
}
