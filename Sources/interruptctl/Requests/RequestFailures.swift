import InterruptCore
import InterruptRedis

/// Why nothing could be asked of a job. Every command says it in the same words.
extension CommandFailure {
    /// - Parameter description: which job there is not, escaped already.
    static func missing(_ description: String) -> CommandFailure {
        CommandFailure(.noSuchJob, description, hint: "run 'interruptctl list' to see what there is")
    }

    /// - Parameters:
    ///   - job: its name, escaped already; so below.
    ///   - expected: the run that it had to have.
    ///   - effect: a sentence that says what this means; so below.
    static func missing(_ job: String, expected: RunID?, effect: String) -> CommandFailure {
        missing("no such \(expected == nil ? "job" : "run") '\(job)'. \(effect)")
    }

    static func notNewest(_ job: String, expected: RunID?, newest: RunID?, effect: String) -> CommandFailure {
        let newest = newest?.rawValue.escapedForDisplay(limit: 64) ?? "another one"
        let expected = expected?.rawValue.escapedForDisplay(limit: 64) ?? ""
        return CommandFailure(
            .alreadyEnded,
            "run \(expected) of job '\(job)' is not its newest: that is \(newest). \(effect)",
            hint: "run 'interruptctl status \(job)'"
        )
    }

    /// - Parameter record: how it ended, where that could be read.
    static func ended(_ job: String, _ record: RunRecord?, now: Timestamp, effect: String) -> CommandFailure {
        let how = record.map { " (\(OutcomeText.ended($0, now: now)))" } ?? ""
        return CommandFailure(
            .alreadyEnded,
            "job '\(job)' has already ended\(how). \(effect)",
            hint: "run 'interruptctl history \(job)' to see how"
        )
    }
}
