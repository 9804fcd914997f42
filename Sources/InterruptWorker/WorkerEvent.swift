public import InterruptCore

/// What a worker reports as it happens.
public enum WorkerEvent: Sendable {
    /// It has its name and takes runs.
    case entered
    /// A run was claimed and its process runs; that of a handler is this one.
    case started(RunOrder, pid: Int32)
    /// An interrupt was accepted for a run.
    case interrupted(RunOrder, InterruptSignal, DeliveryWay)
    /// A run's processes were frozen, or go on.
    case paused(RunOrder, isPaused: Bool)
    /// A run was asked to drain so long ago and still goes on; once a run.
    case draining(RunOrder, for: Duration)
    /// A run has told something of itself, besides its progress.
    case told(RunOrder, RunNote)
    /// A run goes on although it was asked to end, or processes of it outlive SIGKILL; it keeps its slot.
    case holdsOut(RunOrder, Holdout)
    /// A run has ended, and no process that came of it is left.
    case ended(RunOrder, RunEnding, cause: InterruptSignal?)
    /// The worker's own stage rose; `held` is how many runs it still has.
    case stage(from: InterruptStage?, to: InterruptStage, held: Int)
}

/// Why a worker could not go on.
public enum WorkerError: Error, Hashable, CustomStringConvertible {
    /// Another live instance has its name.
    case nameInUse(NameHolder)
    /// Another instance has taken its name over.
    case replaced
    /// The transport refuses it.
    case refused(String)

    /// One sentence.
    public var description: String {
        switch self {
        case .nameInUse(let holder):
            "the worker's name is in use by process \(holder.process.pid) on host \(holder.host.escapedForDisplay())"
        case .replaced: "another instance has taken this worker's name: its runs were ended"
        case .refused(let why): "refused: \(why.escapedForDisplay())"
        }
    }
}
