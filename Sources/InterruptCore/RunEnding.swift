/// How a run ended.
public struct RunEnding: Hashable, Sendable {
    /// The end state.
    public var state: RunState
    /// The exit status, when the leader exited.
    public var exitCode: Int32?
    /// The Unix signal that ended the leader.
    public var termSignal: Int32?
    /// Whether a core was dumped.
    public var dumpedCore: Bool
    /// An interrupt was asked but did not cause the end.
    public var isLateInterrupt: Bool
    /// Why a run failed without an exit status.
    public var error: String?
    /// How many processes of it the kernel ended because there was no memory left for them, as far as it counts them.
    public var memoryKills: Int
    /// What went wrong with its hooks, a sentence each.
    public var hookErrors: [String]
    /// What it has written; `nil` when it never ran, or has not stopped writing.
    public var output: RunOutput?

    /// An ending from its parts.
    public init(
        state: RunState,
        exitCode: Int32? = nil,
        termSignal: Int32? = nil,
        dumpedCore: Bool = false,
        isLateInterrupt: Bool = false,
        error: String? = nil,
        memoryKills: Int = 0,
        hookErrors: [String] = [],
        output: RunOutput? = nil
    ) {
        self.state = state
        self.exitCode = exitCode
        self.termSignal = termSignal
        self.dumpedCore = dumpedCore
        self.isLateInterrupt = isLateInterrupt
        self.error = error
        self.memoryKills = memoryKills
        self.hookErrors = hookErrors
        self.output = output
    }
}

/// What is known of a run's output when it has ended.
public struct RunOutput: Hashable, Sendable {
    /// How much it has written, both streams together.
    public var byteCount: Int64
    /// The file on the worker that has all of it, or the end of it; `nil` when none has.
    public var file: String?
    /// The first byte that is kept: with 0 the file has everything, else it and `<file>.1` have what is from here on.
    public var keptFrom: Int64
    /// The end of the last line that is not empty, at most 400 bytes.
    public var lastLine: String?

    /// An output from its parts.
    public init(byteCount: Int64, file: String? = nil, keptFrom: Int64 = 0, lastLine: String? = nil) {
        self.byteCount = byteCount
        self.file = file
        self.keptFrom = keptFrom
        self.lastLine = lastLine
    }
}

/// A piece of a run's output.
public struct OutputChunk: Hashable, Sendable {
    /// Which of the two streams it was written to.
    public enum Stream: String, Sendable {
        /// Standard output.
        case output = "out"
        /// Standard error.
        case error = "err"
    }

    /// The stream.
    public var stream: Stream
    /// Where the piece begins in the run's file, in bytes; a gap to the end of the piece before is what was left out.
    public var offset: Int64
    /// The bytes.
    public var bytes: [UInt8]

    /// A chunk from its parts.
    public init(stream: Stream, offset: Int64, bytes: [UInt8]) {
        self.stream = stream
        self.offset = offset
        self.bytes = bytes
    }
}
