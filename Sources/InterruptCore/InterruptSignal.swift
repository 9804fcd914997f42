/// The value that carries one interrupt, from whichever source.
public struct InterruptSignal: Hashable, Sendable {
    /// Which source an interrupt came from.
    public enum Source: String, Sendable, CaseIterable {
        /// A call in this process.
        case local
        /// A Unix signal to this process.
        case unixSignal = "unix_signal"
        /// A timeout set beforehand.
        case timeout
        /// A resource limit.
        case limit
        /// A checker that found it somewhere else.
        case checker
        /// A request recorded in Redis.
        case remote
        /// A flag that somebody set.
        case flag
        /// A bare message on a channel, without any record.
        case message
    }

    /// Tells this interrupt from all others; a repeated request has the same.
    public var id: RequestID
    /// How hard.
    public var stage: InterruptStage
    /// Why.
    public var reason: InterruptReason
    /// Free text for people. Not trusted: escaped wherever it is shown.
    public var message: String?
    /// Who asked.
    public var triggeredBy: String?
    /// When it was asked, in UTC; from Redis TIME for recorded requests.
    public var triggeredAt: Timestamp
    /// Whether the work may save a checkpoint first.
    public var savesCheckpoint: Bool
    /// The time between asking and forcing; `nil` leaves it to the run.
    public var gracePeriod: Duration?
    /// Where it came from.
    public var source: Source
    /// The target that was named; `nil` for a local call.
    public var target: InterruptTarget?

    /// A new interrupt. The defaults are those of a plain request by a person.
    public init(
        id: RequestID = .random(),
        stage: InterruptStage = .terminate,
        reason: InterruptReason = .userCancelled,
        message: String? = nil,
        triggeredBy: String? = nil,
        triggeredAt: Timestamp = .now,
        savesCheckpoint: Bool = true,
        gracePeriod: Duration? = nil,
        source: Source = .local,
        target: InterruptTarget? = nil
    ) {
        self.id = id
        self.stage = stage
        self.reason = reason
        self.message = message
        self.triggeredBy = triggeredBy
        self.triggeredAt = triggeredAt
        self.savesCheckpoint = savesCheckpoint
        self.gracePeriod = gracePeriod
        self.source = source
        self.target = target
    }
}

/// The interrupt that reached a scope together with the run it was accepted for.
public struct InterruptEvent: Hashable, Sendable {
    /// The run that was interrupted.
    public let run: RunID
    /// What was asked.
    public let signal: InterruptSignal
    /// What became of the work's checkpoint; `nil` while that is not known, and for work that has none.
    public let checkpoint: CheckpointOutcome?

    /// Ties a signal to a run.
    public init(run: RunID, signal: InterruptSignal, checkpoint: CheckpointOutcome? = nil) {
        self.run = run
        self.signal = signal
        self.checkpoint = checkpoint
    }
}

/// Thrown at a checkpoint of interrupted work.
public struct InterruptedError: Error, Hashable, CustomStringConvertible {
    /// The interrupt that caused it: the first one accepted.
    public let signal: InterruptSignal
    /// The checkpoint where it surfaced.
    public let checkpoint: String?
    private let text: String?

    /// The error for `signal`, thrown at the checkpoint of this name.
    public init(_ signal: InterruptSignal, at checkpoint: String? = nil) {
        self.init(signal, at: checkpoint, text: nil)
    }

    init(_ signal: InterruptSignal, at checkpoint: String?, text: String?) {
        (self.signal, self.checkpoint, self.text) = (signal, checkpoint, text)
    }

    /// What was interrupted, where that is known; else the message of the interrupt, or `Execution interrupted: {reason}`.
    public var description: String {
        text ?? signal.message ?? "Execution interrupted: \(signal.reason)"
    }

    /// What to show to the person who waits for the work: the message of the interrupt; without one, for the reason
    /// `user_cancelled`, "Processing was cancelled by the user."; else the description.
    public var explanation: String {
        guard signal.message == nil, signal.reason == .userCancelled else { return description }
        return "Processing was cancelled by the user."
    }
}
