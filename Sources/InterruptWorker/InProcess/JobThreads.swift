internal import DequeModule
internal import Dispatch
internal import Synchronization

/// The threads of one job, which it may block: a task executor on as many queues as it has threads.
///
/// A serial queue of its own has a thread of its own for as long as it has something to do. The global queues, and with
/// them the pool that runs tasks, share about as many threads as there are processors: there two jobs that block would
/// stop the whole worker.
final class JobThreads: TaskExecutor {
    private struct State {
        var idle: [DispatchQueue]
        var waiting: Deque<UnownedJob> = []
    }

    private let state: Mutex<State>

    init(count: Int) {
        state = Mutex(State(idle: (0..<count).map { DispatchQueue(label: "job \($0 + 1)") }))
    }

    /// In the order of their arrival, each on the first thread that is free.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let thread = state.withLock { state in
            let thread = state.idle.popLast()
            if thread == nil { state.waiting.append(job) }
            return thread
        }
        thread?.async { self.run(job, on: thread) }
    }

    private func run(_ first: UnownedJob, on thread: DispatchQueue?) {
        var next: UnownedJob? = first
        while let job = next {
            job.runSynchronously(on: asUnownedTaskExecutor())
            next = state.withLock { state in
                let next = state.waiting.popFirst()
                if next == nil, let thread { state.idle.append(thread) }
                return next
            }
        }
    }
}
