import ArgumentParser
import InterruptCore
import InterruptRedis

/// What `cancel`, `drain` and `kill` have in common.
struct StopOptions: ParsableArguments {
    @Argument(help: "JOB, group:NAME, queue:NAME, worker:NAME or all; exact names.", transform: Parse.target)
    var targets: [InterruptTarget] = []

    @Option(
        help: ArgumentHelp(
            "Why: user_cancelled, timeout, resource_limit, error_threshold, priority_override, system_shutdown, custom.",
            valueName: "reason"
        ),
        completion: .list(InterruptReason.Kind.allCases.map(\.rawValue)),
        transform: Parse.reason
    )
    var reason: InterruptReason = .userCancelled

    @Option(help: ArgumentHelp("A text for people; goes on record.", valueName: "text"), transform: Parse.message)
    var message: String?

    @Option(help: ArgumentHelp("Only this run of the job.", valueName: "run"), transform: Parse.name)
    var run: Name?

    @Option(
        help: ArgumentHelp(
            "The time between asking and forcing, such as 10s; 0 forces at once.",
            valueName: "duration"
        ),
        transform: Parse.duration
    )
    var grace: Duration?

    @Flag(help: "Return when it is recorded.")
    var noWait = false

    @Option(
        help: ArgumentHelp(
            "Wait this long for the confirmation (default: the grace period and 5 s).",
            valueName: "duration"
        ),
        transform: Parse.duration
    )
    var wait: Duration?

    @Flag(help: "Ask nothing.")
    var yes = false

    @Flag(help: "Only list what would be hit.")
    var dryRun = false

    @Flag(help: "That nothing is running is no failure.")
    var ifRunning = false

    @Flag(help: "Do not save a checkpoint first.")
    var noCheckpoint = false

    @Option(
        help: ArgumentHelp("Asking again with the same id interrupts once.", valueName: "id"),
        transform: Parse.name
    )
    var requestID: Name?

    func validate() throws {
        if targets.isEmpty, run == nil {
            throw ValidationError("The target is missing: JOB, group:NAME, queue:NAME, worker:NAME or all.")
        }
        if run != nil, targets.count > 1 || targets.first?.isWide == true {
            throw ValidationError("--run names one run: give at most one JOB with it.")
        }
        if noWait, wait != nil { throw ValidationError("--no-wait and --wait contradict each other: give one.") }
    }

    /// Whether it can only hit one run; then nobody is asked.
    var isSingle: Bool { targets.count <= 1 && targets.first?.isWide != true }

    /// The interrupt that is asked for.
    func signal(stage: InterruptStage) -> InterruptSignal {
        InterruptSignal(
            id: requestID.map { RequestID(rawValue: $0.description) } ?? .random(),
            stage: stage,
            reason: reason,
            message: message,
            triggeredBy: Requester.ofProcess,
            savesCheckpoint: !noCheckpoint,
            gracePeriod: stage == .kill ? .zero : grace,
            source: .remote,
            target: targets.count == 1 ? targets[0] : nil
        )
    }
}
