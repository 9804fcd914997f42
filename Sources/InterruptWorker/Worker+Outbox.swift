import InterruptCore
import Logging

/// What waits in files while the transport is out of reach.
extension Worker {
    /// Records what earlier instances have left; returns the runs that are not to be called lost.
    func recordOutbox() async -> Set<RunID> {
        guard let outbox else { return [] }
        return await OutboxDelivery(transport: transport, outbox: outbox, logger: logger, isHurried: isHurried)
            .recordAll()
    }

    /// Says, when the worker is done, what of it is not on record.
    func sayWhatWaits() async {
        guard let outbox else { return }
        let (kept, unkept) = await outbox.settled()
        if kept > 0 {
            logger.warning(
                "outcomes are not recorded yet: they wait for the next start of this worker",
                metadata: ["runs": "\(kept)", "in": "\(outbox.directory)"]
            )
        }
        if unkept > 0 {
            logger.error(
                "outcomes are lost: neither the transport nor the disk has taken them",
                metadata: ["runs": "\(unkept)", "directory": "\(outbox.directory)"]
            )
        }
    }
}
