import ArgumentParser
import InterruptCore
import InterruptRedis

/// What `cancel`, `drain` and `kill` have in common.
struct StopOptions: ParsableArguments {
    @OptionGroup var request: RequestOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Option(
        help: ArgumentHelp(
            "Why: user_cancelled, timeout, resource_limit, error_threshold, priority_override, system_shutdown, custom.",
            valueName: "reason"
        ),
        completion: .list(InterruptReason.Kind.allCases.map(\.rawValue)),
        transform: Parse.reason
    )
    var reason: InterruptReason = .userCancelled

    @Option("A text for people; goes on record.", "text", Parse.message)
    var message: String?

    @Option("The time between asking and forcing, such as 10s; 0 forces at once.", "duration", Parse.duration)
    var grace: Duration?

    @Flag(help: "Do not save a checkpoint first.")
    var noCheckpoint = false

    @Option("Asking again with the same id interrupts once.", "id", Parse.name)
    var requestID: Name?

    @Option(
        "Stored means on this many replicas too, such as replicas:1; fewer is exit status 5.",
        "replicas:n",
        Durability.init
    )
    var durability: Durability?

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
            target: request.targets.count == 1 ? request.targets[0] : nil
        )
    }
}
