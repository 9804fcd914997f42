public import InterruptCore
import Synchronization

/// What waited while Redis was away.
extension RedisTransport {
    /// Whether commands have a connection now.
    public var isReachable: Bool { commands.isConnected }

    /// Puts on record what an instance of this worker could not: its receipts, then its end. The scripts let each count
    /// once, however often it comes. `false` when Redis does not have the run: it is over for a week, or another's.
    public func record(_ outcome: WaitingOutcome) async throws(TransportError) -> Bool {
        let record: RunRecord?
        do throws(RedisError) {
            record = try await interrupts.record(of: outcome.run)
        } catch {
            throw TransportError(error)
        }
        guard let record else {
            // Another server may take it for running.
            if let ending = outcome.ending {
                held.ended(outcome.run, as: ending, at: .now - timeSince(outcome.endedAt))
            }
            return false
        }
        if record.state == .queued, outcome.instance != instance, outcome.ending != nil {
            try await claimAgain(record, for: outcome.instance)
        }
        // A run that another instance has now is not this outcome's any more, as one that has ended.
        for receipt in outcome.receipts {
            _ = try await acknowledge(
                receipt.signal,
                way: receipt.way,
                for: outcome.run,
                by: outcome.instance,
                before: timeSince(receipt.takenAt)
            )
        }
        if let ending = outcome.ending {
            outputs.withLock { $0[outcome.run] = nil }
            let before = timeSince(outcome.endedAt)
            _ = try await end(outcome.run, as: ending, by: outcome.instance, before: before)
        }
        return true
    }

    /// Claims for an earlier instance what the server takes for queued: an end that waits says that it was started. What lives
    /// here is claimed when it is compared.
    private func claimAgain(_ record: RunRecord, for instance: String) async throws(TransportError) {
        let grace = record.gracePeriod ?? StopLimits.gracePeriod
        // Its place in the queue the server knows itself, and what it ran in has ended.
        let run: [RedisArgument] = [
            .init(record.run.rawValue), .init(record.queue.description), "0-0", .init(grace.milliseconds), "", "", "",
        ]
        _ = try await evaluate(RedisScripts.claimAgain, [.init(worker.description), .init(instance)] + run)
    }

    /// How long ago that was. Servers and workers have clocks that differ; a length they share.
    private func timeSince(_ instant: Timestamp?) -> Duration {
        instant.map { max(.zero, Timestamp.now - $0) } ?? .zero
    }
}
