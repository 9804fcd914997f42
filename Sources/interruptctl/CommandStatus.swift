/// What the command's exit status says. `run` and `wait` give the job's own instead.
enum CommandStatus: Int32, CaseIterable {
    case done = 0
    /// Refused or failed.
    case failed = 1
    case noSuchJob = 3
    case alreadyEnded = 4
    /// Recorded, but not confirmed in time: it stays open.
    case unconfirmed = 5
    case usage = 64
    case unavailable = 69
    case notPermitted = 77
    /// Trouble of `run` and `wait` themselves.
    case ownTrouble = 125

    /// From the worst to the best.
    private static let order: [CommandStatus] = [
        .usage, .ownTrouble, .failed, .notPermitted, .unavailable, .unconfirmed, .noSuchJob, .alreadyEnded, .done,
    ]

    /// The status of several targets.
    static func worst(_ statuses: some Sequence<CommandStatus>) -> CommandStatus {
        statuses.min { order.firstIndex(of: $0)! < order.firstIndex(of: $1)! } ?? .done
    }

    /// The status under `--if-running`: that nothing ran is then no failure.
    func tolerating(nothingRunning: Bool) -> CommandStatus {
        nothingRunning && (self == .noSuchJob || self == .alreadyEnded) ? .done : self
    }
}
