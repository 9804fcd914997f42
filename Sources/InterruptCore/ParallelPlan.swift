/// Decides what a ``ParallelRunner`` does next. Never waits, locks or runs anything.
struct ParallelPlan {
    enum Step: Equatable {
        /// Start the item of this index.
        case submit(Int)
        /// Say that this item and all after it will not start.
        case stopSubmitting(at: Int)
        /// Everything that was started has ended, or is waited for no longer.
        case finish
        /// Leave without results.
        case leave
        /// Nothing until an item ends or the stage rises.
        case wait
    }

    let count: Int
    let workers: Int
    private var next = 0
    private var running = 0
    private var hasStopped = false

    init(count: Int, workers: Int) {
        (self.count, self.workers) = (count, workers)
    }

    /// Called again after every step, and when an item has ended or the stage has risen.
    mutating func step(at stage: InterruptStage?) -> Step {
        if stage.shouldExitImmediately { return .leave }
        if stage.shouldCancelQueuedTasks, !hasStopped, next < count {
            hasStopped = true
            return .stopSubmitting(at: next)
        }
        if stage.shouldTerminateActiveTasks { return .finish }
        if !hasStopped, next < count {
            if running == workers { return .wait }
            defer {
                next += 1
                running += 1
            }
            return .submit(next)
        }
        return running == 0 ? .finish : .wait
    }

    mutating func itemEnded() { running -= 1 }
}
