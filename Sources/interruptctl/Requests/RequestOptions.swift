import ArgumentParser
import InterruptCore
import InterruptRedis

/// Which runs a request is about, and how long their answer is waited for.
struct RequestOptions: ParsableArguments {
    @Argument(help: "JOB, group:NAME, queue:NAME, worker:NAME or all; exact names.", transform: Parse.target)
    var targets: [InterruptTarget] = []

    @Option("Only this run of the job.", "run", Parse.name)
    var run: Name?

    @Flag(help: "Return when it is recorded.")
    var noWait = false

    @Option(
        "Wait this long for the confirmation (default: 5s; for a stop, 5s after its grace period).",
        "duration",
        Parse.duration
    )
    var wait: Duration?

    @Flag(help: "That nothing is running is no failure.")
    var ifRunning = false

    func validate() throws {
        if targets.isEmpty, run == nil {
            throw ValidationError("The target is missing: JOB, group:NAME, queue:NAME, worker:NAME or all.")
        }
        if run != nil, targets.count > 1 || targets.first?.isWide == true {
            throw ValidationError("--run names one run: give at most one JOB with it.")
        }
        if noWait, wait != nil { throw ValidationError("--no-wait and --wait contradict each other: give one.") }
    }

    /// Whether it can only mean one run; then nobody is asked.
    var isSingle: Bool { targets.count <= 1 && targets.first?.isWide != true }

    /// The run that the job must still have.
    var expected: RunID? { run.map { RunID(rawValue: $0.description) } }
}

/// Whether a person is asked first.
struct ConfirmationOptions: ParsableArguments {
    @Flag(help: "Ask nothing.")
    var yes = false

    @Flag(help: "Only list what would be hit.")
    var dryRun = false
}
