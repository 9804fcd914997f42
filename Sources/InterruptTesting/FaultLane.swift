import DequeModule

/// Decides when which bytes of one direction of a connection go on. Never waits, writes or reads a clock.
struct FaultLane<Instant: InstantProtocol> where Instant.Duration == Duration {
    enum Step: Equatable {
        /// Nothing to do until something arrives or the rules change.
        case rest
        /// Ask again then.
        case wait(until: Instant)
        /// Hand these on, and ask again.
        case write([UInt8])
        /// End the connection: nothing follows.
        case end(FaultRules.Ending)
    }

    private struct Piece {
        var bytes: ArraySlice<UInt8>
        var due: Instant
    }

    private var pieces: Deque<Piece> = []
    private var frames = PushFrames()
    /// How many bytes were handed on.
    private var forwarded = 0
    private var nextPart: Instant?
    private var hasSourceEnded = false

    /// Takes what has arrived.
    ///
    /// - Parameters:
    ///   - duplicatesPushes: whether messages of a subscription that are complete now go on twice.
    ///   - random: a number from 0 up to 1.
    mutating func receive(
        _ bytes: [UInt8],
        at now: Instant,
        under way: FaultRules.Way,
        duplicatesPushes: Bool = false,
        random: Double = 0.5
    ) {
        let delay = way.delay + way.jitter * (2 * random - 1)
        let due = max(now.advanced(by: max(.zero, delay)), pieces.last?.due ?? now)
        // Asked whether or not it matters, so that it knows where messages begin when it does.
        let pushes = frames.pushes(completedBy: bytes)
        var begin = 0
        for push in pushes where duplicatesPushes {
            pieces.append(Piece(bytes: bytes[begin..<push.end], due: due))
            pieces.append(Piece(bytes: push.bytes[...], due: due))
            begin = push.end
        }
        if begin < bytes.count { pieces.append(Piece(bytes: bytes[begin...], due: due)) }
    }

    /// Nothing arrives any more.
    mutating func sourceEnded() { hasSourceEnded = true }

    /// What is to be done now.
    ///
    /// - Parameter ending: how a connection is ended that is cut.
    mutating func step(at now: Instant, under way: FaultRules.Way, ending: FaultRules.Ending = .close) -> Step {
        if way.isSilent { return .rest }
        if let limit = way.cutAfter, forwarded >= limit { return .end(ending) }
        guard let first = pieces.first else { return hasSourceEnded ? .end(.close) : .rest }
        if now < first.due { return .wait(until: first.due) }
        var count = first.bytes.count
        if let limit = way.cutAfter { count = min(count, limit - forwarded) }
        if let trickle = way.trickle {
            if let nextPart, now < nextPart { return .wait(until: nextPart) }
            count = min(count, max(1, trickle.bytes))
            nextPart = now.advanced(by: trickle.interval)
        }
        pieces[0].bytes.removeFirst(count)
        if pieces[0].bytes.isEmpty { pieces.removeFirst() }
        forwarded += count
        return .write(Array(first.bytes.prefix(count)))
    }
}
