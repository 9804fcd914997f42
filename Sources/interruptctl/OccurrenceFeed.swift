import InterruptCore
import Synchronization

/// Hands occurrences to a command that takes one after the other: a press before everything else. What it does not take,
/// because it is busy or nobody reads what it writes, is kept up to a limit; of what comes then it learns only that something
/// is missing.
final class OccurrenceFeed: Sendable {
    private struct Kept {
        var presses: [Occurrence] = []
        var others: [Occurrence] = []
        /// How many of the others were taken.
        var taken = 0
        var isBehind = false

        mutating func add(_ occurrence: Occurrence) {
            if case .press = occurrence {
                presses.append(occurrence)
                return
            }
            let more = isBehind ? [.gap, occurrence] : [occurrence]
            isBehind = others.count - taken + more.count > OccurrenceFeed.limit
            if !isBehind { others += more }
        }

        mutating func take() -> Occurrence? {
            if !presses.isEmpty { return presses.removeFirst() }
            // Now and then, for it moves all that is left.
            if taken == others.count || taken == 1_000 {
                others.removeFirst(taken)
                taken = 0
            }
            if others.isEmpty {
                defer { isBehind = false }
                return isBehind ? .gap : nil
            }
            taken += 1
            return others[taken - 1]
        }
    }

    private static let limit = 10_000

    private let kept = Mutex(Kept())
    private let added = Wakeup()

    func add(_ occurrence: Occurrence) {
        kept.withLock { $0.add(occurrence) }
        added.signal()
    }

    /// What comes, for one task; it ends with the task.
    var occurrences: AsyncStream<Occurrence> {
        AsyncStream {
            while !Task.isCancelled {
                if let occurrence = self.kept.withLock({ $0.take() }) { return occurrence }
                await self.added.wait()
            }
            return nil
        }
    }
}
