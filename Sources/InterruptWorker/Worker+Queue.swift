import InterruptCore
import Logging
import Synchronization

/// Taking runs from the queue, as many as there are slots, and giving back what does not start here.
extension Worker {
    /// Works until nothing new is taken and all that was taken has ended.
    func work() async {
        await withDiscardingTaskGroup { runs in
            while let offers = await nextOffers() {
                var refused: [RunOffer] = []
                for offer in offers {
                    switch state.withLock({ $0.decisions.take(offer) }) {
                    case .taken:
                        runs.addTask {
                            await self.process(offer)
                            let repeated = self.state.withLock { $0.decisions.release(offer.run) }
                            self.slotFreed.signal()
                            if !repeated.isEmpty { await self.giveBack(repeated) }
                        }
                    case .held: continue
                    case .refused: refused.append(offer)
                    }
                }
                if !refused.isEmpty { await giveBack(refused) }
            }
        }
    }

    /// Returns whether the transport has answered.
    @discardableResult
    private func giveBack(_ offers: [RunOffer]) async -> Bool {
        do throws(TransportError) {
            try await transport.giveBack(offers)
            return true
        } catch {
            // They are still offered to this worker's name: the transport offers them again, or leaving gives them back.
            let isAnswer: Bool = if case .unavailable = error { false } else { true }
            logger.log(
                level: isAnswer ? .warning : .debug,
                "could not give runs back",
                metadata: ["why": "\(error.description.escapedForDisplay())"]
            )
            return isAnswer
        }
    }

    /// Waits for a free slot and then for offers; `nil` once the worker takes nothing new.
    private func nextOffers() async -> [RunOffer]? {
        var pause = RetryPause()
        while true {
            let (stage, free) = state.withLock { ($0.decisions.stage, $0.decisions.freeSlots) }
            if stage != nil { return nil }
            if free == 0 {
                await slotFreed.wait()
                continue
            }
            let result = await withTaskGroup { group -> Result<[RunOffer], TransportError>? in
                group.addTask { () -> Result<[RunOffer], TransportError>? in
                    do throws(TransportError) {
                        return .success(try await self.transport.offers(limit: free))
                    } catch {
                        return .failure(error)
                    }
                }
                group.addTask {
                    await self.drained.wait()
                    return nil
                }
                let first = await group.next() ?? nil
                group.cancelAll()
                // What was offered while the worker was told to take nothing new is not lost: `work` gives it back.
                if first == nil, let late = await group.next() ?? nil, case .success = late { return late }
                return first
            }
            switch result {
            case .success(let offers): return offers
            case .failure(let error):
                logger.info("the queue is out of reach", metadata: ["why": "\(error.description.escapedForDisplay())"])
                await pause.wait(orUntil: drained)
            case nil: return nil
            }
        }
    }

    private func process(_ offer: RunOffer) async {
        var pause = RetryPause()
        while await mayClaim(offer, &pause) {
            let fence = state.withLock { $0.lease.fence }
            do throws(TransportError) {
                switch try await transport.start(offer, gracePeriod: gracePeriod) {
                case .gone: return
                case .started(let order, let pending):
                    return await execute(order, pending: pending, RunClaim(offer: offer, fence: fence))
                }
            } catch .unavailable where !isHurried() {
                // Unknown whether it was claimed: asking again is safe, the claim is this instance's own.
                await pause.wait(orUntil: nil)
            } catch {
                logger.error("could not start a run", metadata: ["run": "\(offer.run)", "why": "\(error)"])
                switch error {
                case .replaced: stopReplaced()
                case .refused: await giveBackLater(offer)
                case .unavailable, .nameInUse: break  // stage 3: leaving gives it back
                }
                return
            }
        }
    }

    /// Waits until the offer may be claimed; a claim itself does not wait, so that it is not sent when that has changed. A
    /// worker that is to stop claims nothing more, so it gives the offer back: what it then has, it had claimed before. `false`
    /// at stage 3, where leaving gives it back.
    private func mayClaim(_ offer: RunOffer, _ pause: inout RetryPause) async -> Bool {
        while !isHurried() {
            if await (stage == nil ? transport.isReachable : giveBack([offer])) { return true }
            await pause.wait(orUntil: nil)
        }
        return false
    }

    /// Returns an offer whose claim was refused to its queue: it is offered again, to this worker or another. After a
    /// second with the slot taken, so that a refusal that lasts does not go round as fast as it can.
    private func giveBackLater(_ offer: RunOffer) async {
        if stage == nil { try? await Task.sleep(for: .seconds(1), clock: .continuous) }  // cancelled: given back sooner
        await giveBack([offer])
    }
}
