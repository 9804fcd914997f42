internal import Glibc
internal import InterruptCore

/// Decides how a run ended, from what was seen of its leader. DESIGN.md section 2 has the rule.
struct JobOutcome: Equatable {
    /// How the leader ended, as the kernel tells it.
    enum WaitStatus: Equatable {
        /// It returned or called `exit`.
        case exited(code: Int32)
        /// A Unix signal ended it.
        case signalled(signal: Int32, dumpedCore: Bool)
    }

    /// Which Unix signals this worker sent while the leader was seen alive.
    struct SentSignals: OptionSet {
        let rawValue: Int
        /// SIGTERM, with the SIGCONT that lets a stopped process notice it.
        static let terminate = SentSignals(rawValue: 1)
        /// SIGKILL.
        static let kill = SentSignals(rawValue: 2)
    }

    /// How the leader ended.
    var status: WaitStatus
    /// What was sent while it lived; empty when it had exited before the first Unix signal.
    var sent: SentSignals = []
    /// Whether it had a handler for SIGTERM when that was sent.
    var handledTerminate = false
    /// How many processes of its tree the kernel killed for want of memory; `nil` where it does not tell.
    var memoryKills: Int?
    /// Whether its fence had been reached when it ended.
    var wasFenced = false
    /// Whether an interrupt of stage 2 or harder was asked before the end was known.
    var wasInterruptAsked = false

    /// The ending that goes on record.
    var ending: RunEnding {
        if wasFenced, !wasInterruptAsked, case .signalled(SIGKILL, _) = status { return .fenced }
        var ending = RunEnding(state: state, isLateInterrupt: wasInterruptAsked && !isCausedByInterrupt)
        ending.memoryKills = memoryKills ?? 0
        switch status {
        case .exited(let code):
            ending.exitCode = code
        case .signalled(let signal, let dumpedCore):
            ending.termSignal = signal
            ending.dumpedCore = dumpedCore
        }
        return ending
    }

    private var state: RunState {
        if isCausedByInterrupt { return .interrupted }
        return status == .exited(code: 0) ? .completed : .failed
    }

    private var isCausedByInterrupt: Bool {
        if wasFenced, wasInterruptAsked, case .signalled(SIGKILL, _) = status { return true }
        guard !sent.isEmpty else { return false }
        if sent.contains(.terminate), handledTerminate { return true }
        return switch status {
        case .signalled(SIGTERM, _): sent.contains(.terminate)
        case .signalled(SIGKILL, _): sent.contains(.kill)
        case .signalled, .exited: false
        }
    }
}

extension RunEnding {
    /// Of a leased run whose worker could not renew its lease in time.
    static var fenced: RunEnding {
        let why = "its worker's lease was not renewed in time: it was ended, so that another may run the job"
        return RunEnding(state: .lost, error: why)
    }
}
