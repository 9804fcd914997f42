import ArgumentParser
import InterruptCore
import InterruptRedis

/// What `pause` and `resume` have in common.
struct PauseOptions: ParsableArguments {
    @Argument(help: "JOB, group:NAME, queue:NAME, worker:NAME or all; exact names.", transform: Parse.target)
    var targets: [InterruptTarget] = []

    @Option(help: ArgumentHelp("Only this run of the job.", valueName: "run"), transform: Parse.name)
    var run: Name?

    @Flag(help: "Return when it is recorded.")
    var noWait = false

    @Option(
        help: ArgumentHelp("Wait this long for the confirmation (default: 5s).", valueName: "duration"),
        transform: Parse.duration
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

    var expected: RunID? { run.map { RunID(rawValue: $0.description) } }
}
