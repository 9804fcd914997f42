import InterruptCore
import Logging

/// Puts on record what earlier instances of a worker could not, before anything of theirs is called lost.
struct OutboxDelivery<Transport: InterruptTransport>: Sendable {
    /// How long an outcome is kept that nobody has a record for: as long as an ended run is readable. Another server may
    /// have the record, which a worker of this name was or will be on.
    private static var retention: Duration { .seconds(604_800) }

    let transport: Transport
    let outbox: Outbox
    let logger: Logger
    /// Whether an unreachable transport is not to be waited for any more.
    let isHurried: @Sendable () -> Bool

    /// Records all that there is, one after the other. Returns the runs that are not to be called lost: their end is on
    /// record now, or waits for the next instance.
    func recordAll() async -> Set<RunID> {
        var settled: Set<RunID> = []
        var (recorded, unknown) = (0, 0)
        var hasGivenUp = false
        for left in await outbox.left() {
            let run = left.outcome.run
            switch hasGivenUp ? .givenUp : await record(left.outcome) {
            case .recorded:
                recorded += 1
                if left.outcome.ending != nil { settled.insert(run) }
                outbox.discard(run)
            case .unknown:
                unknown += 1
                if Timestamp.now - left.writtenAt > Self.retention { outbox.discard(run) }
            case .refused: settled.insert(run)
            case .givenUp:
                hasGivenUp = true
                settled.insert(run)
            }
        }
        if recorded > 0 {
            logger.notice("recorded outcomes that had waited", metadata: ["runs": "\(recorded)"])
        }
        if unknown > 0 {
            logger.notice(
                "outcomes of runs that are not on record here are kept for a week",
                metadata: ["runs": "\(unknown)", "in": "\(outbox.directory)"]
            )
        }
        return settled
    }

    private enum Result {
        case recorded
        /// Nobody has a record of the run here.
        case unknown
        case refused
        case givenUp
    }

    private func record(_ outcome: WaitingOutcome) async -> Result {
        var isOnRecord = false
        let recorder = PersistentRecorder(run: outcome.run, logger: logger, lossLevel: .debug, isHurried: isHurried)
        let result = await recorder.write("an outcome of before") { () async throws(TransportError) in
            isOnRecord = try await transport.record(outcome)
        }
        switch result {
        case .written: return isOnRecord ? .recorded : .unknown
        case .refused: return .refused
        case .givenUp: return .givenUp
        }
    }
}
