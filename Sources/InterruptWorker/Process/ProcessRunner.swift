public import InterruptCore
public import Logging
public import SystemPackage

/// Runs orders as child processes: spawns, keeps the output, carries out interrupts, and sees each tree to its end.
public struct ProcessRunner: Sendable {
    let outputDirectory: FilePath
    let defaultGracePeriod: Duration
    let baseEnvironment: [String: String]
    let logger: Logger
    let giveUpAfter: Duration
    let outputLimit: Int64
    let moreTime: Duration
    let launcher: Launcher
    let runDirectories: RunDirectories

    /// A runner of any number of runs at a time.
    ///
    /// - Parameters:
    ///   - outputDirectory: where `<run>.log` is made for each run. It must exist.
    ///   - defaultGracePeriod: the time between asking and forcing where neither the interrupt nor the order says.
    ///   - baseEnvironment: the worker's environment. Of it, only `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`,
    ///     `LC_*`, `TZ` and `TMPDIR` reach a job.
    ///   - logger: told of what goes wrong beside the job: its file, its survivors.
    ///   - outputLimit: how much of a run's output is kept at most, in bytes; at least the newer half of it is. 1 GiB: more
    ///     is read by nobody, and a disk has room for some of these.
    ///   - runDirectory: where each run gets a private directory for what it and the worker tell each other; made when it
    ///     is missing, with its parent there. Best in memory; several runners may share it. `nil` is `runs` in
    ///     `outputDirectory`.
    ///   - moreTime: how much more than its grace period a run gets at most when it asks for more. 30 s: it is worth a
    ///     wait to save what was done, and nobody waits for minutes without having said so.
    ///   - giveUpAfter: how long processes may outlive SIGKILL before that is reported.
    ///   - usesCgroups: whether each run gets a cgroup of its own where that can be. Without, a small process above each
    ///     run keeps hold of all that comes of it.
    ///   - jobDescriptors: how many descriptors a job may have open, its soft limit; `nil` is as many as this process.
    ///   - launchProgram: the file of `interrupt-launch`; `nil` looks beside this program, in `../libexec` and in `PATH`.
    public init(
        outputDirectory: FilePath,
        defaultGracePeriod: Duration,
        baseEnvironment: [String: String],
        logger: Logger,
        outputLimit: Int64 = 1 << 30,
        runDirectory: FilePath? = nil,
        moreTime: Duration = .seconds(30),
        giveUpAfter: Duration = StopLimits.survival,
        usesCgroups: Bool = true,
        jobDescriptors: UInt64? = nil,
        launchProgram: FilePath? = nil
    ) {
        self.outputDirectory = outputDirectory
        self.defaultGracePeriod = defaultGracePeriod
        self.baseEnvironment = baseEnvironment
        self.logger = logger
        self.outputLimit = outputLimit
        self.giveUpAfter = giveUpAfter
        self.moreTime = moreTime
        runDirectories = RunDirectories(in: runDirectory ?? outputDirectory.appending("runs"), logger: logger)
        launcher = Launcher(
            program: launchProgram,
            usesCgroups: usesCgroups,
            jobDescriptors: jobDescriptors,
            logger: logger
        )
    }

    /// Starts what starts the runs, if it does not run yet, and tells how it holds their processes together. The first
    /// run does the same.
    ///
    /// - Throws: an error that says in one sentence why no run can be started here.
    public func prepare() async throws -> Containment { try await launcher.ready().containment }

    /// Runs `order` and returns how it ended, once no process that came of it is left.
    ///
    /// The run reacts to `scope`: stage 2 sends SIGTERM and, after the grace period, SIGKILL; stage 3 sends SIGKILL;
    /// stage 1 does nothing. Each reaches every process of the tree, also those that have left its group and session. What
    /// a run leaves behind that ends by itself is killed. When stage 2 or harder was asked before the call, nothing is
    /// spawned. Cancelling the task is stage 3. Never throws: what cannot be started has an ending too.
    ///
    /// - Parameters:
    ///   - order: what to run.
    ///   - scope: the run's scope.
    ///   - pause: freezes the processes while it is set, unless they are asked to end: that they can always react to.
    ///   - fence: when the processes are killed, by whoever holds them and also while this process is stopped; the run is
    ///     `lost` then. `nil` is never.
    ///   - started: called once with the leader's pid when it runs, beside everything else; `run` returns after it.
    ///   - stuck: called when processes outlive SIGKILL for longer than `giveUpAfter`. As long as it does not return the
    ///     end of the tree is waited for; its task is cancelled when that has come.
    ///   - told: called with what the run tells through its directory, but for its progress, which is the scope's. It must
    ///     return at once.
    ///   - output: called with the output, one call at a time: the first bytes at once, then every 50 ms, or as fast as
    ///     it returns when more waits. However long it takes, the job is not slowed down: of one that is more than
    ///     16 MiB ahead, or that goes on flooding, the oldest is left out, which shows as a gap between offsets. `run`
    ///     returns after the last call, at most three seconds and a call after the end of the job.
    /// - Returns: `nil` when processes are left and `stuck` has returned. They are killed as soon as the kernel lets them.
    public func run(
        _ order: RunOrder,
        scope: InterruptScope,
        pause: PauseSwitch = PauseSwitch(),
        fence: RunFence? = nil,
        started: @escaping @Sendable (_ pid: Int32) async -> Void = { _ in },
        stuck: @escaping @Sendable (Holdout) async -> Void = { _ in },
        told: @escaping @Sendable (RunNote) -> Void = { _ in },
        output: @escaping @Sendable ([OutputChunk]) async -> Void
    ) async -> RunEnding? {
        if scope.stage.shouldTerminateActiveTasks || Task.isCancelled { return RunEnding(state: .interrupted) }
        return await ProcessExecution(
            runner: self,
            order: order,
            scope: scope,
            pause: pause,
            fence: fence,
            started: started,
            stuck: stuck,
            told: told,
            output: output
        ).run()
    }
}
