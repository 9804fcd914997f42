import Synchronization

/// Hands occurrences to a command that takes one after the other. What it does not take, because nobody reads what it writes,
/// is kept up to a limit. Of what comes then it learns only that something is missing; a press ends the sequence.
final class OccurrenceFeed: Sendable {
    private static let limit = 10_000

    private let continuation: AsyncStream<Occurrence>.Continuation
    private let isBehind = Mutex(false)

    private init(_ continuation: AsyncStream<Occurrence>.Continuation) { self.continuation = continuation }

    static func make() -> (occurrences: AsyncStream<Occurrence>, feed: OccurrenceFeed) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Occurrence.self,
            bufferingPolicy: .bufferingOldest(limit)
        )
        return (stream, OccurrenceFeed(continuation))
    }

    func add(_ occurrence: Occurrence) {
        isBehind.withLock { isBehind in
            if isBehind, case .enqueued = continuation.yield(.gap) { isBehind = false }
            if !isBehind, case .dropped = continuation.yield(occurrence) { isBehind = true }
            if isBehind, case .press = occurrence { continuation.finish() }
        }
    }
}
