import Synchronization

/// Work that a scope has started beside its body.
struct ScopeTask {
    let name: String
    let limit: Duration
    let task: Task<Void, Never>
}

/// What a scope does at its end.
struct CleanupStep: Sendable {
    let name: String
    let limit: Duration
    let action: @Sendable () async throws -> Void
}

extension ScopeState {
    /// Runs what serves the scope itself until its end, where it is cancelled and awaited: it must heed that at once.
    mutating func runUntilEnd(in scope: InterruptScope, _ body: @escaping @Sendable () async -> Void) {
        taskCount += 1
        let number = taskCount
        ownTasks[number] = Task {
            await body()
            scope.state.withLock { _ = $0.ownTasks.removeValue(forKey: number) }
        }
    }
}

extension InterruptScope {
    /// How long the end of a scope waits for one task or one step, if nothing else is said: as long as the shortest grace
    /// period of a job.
    public static let defaultCleanupLimit = Duration.seconds(5)

    /// How long it waits for a task once stage 3 was asked: what heeds its cancellation needs no longer.
    static let killedLimit = Duration.milliseconds(100)

    /// Starts work beside the scope's body, under a name. From stage 2 on it is cancelled; at the scope's end it is
    /// cancelled and waited for, at most `limit` long and at stage 3 a tenth of a second, whatever others do. Forgotten as
    /// soon as it has ended. Returns at once; in a scope that has ended nothing is started.
    ///
    /// What it throws is told as ``ScopeEvent/cleanup(step:failure:)``, unless it is because of the interrupt.
    public func startTask(
        _ name: String,
        limit: Duration = defaultCleanupLimit,
        _ body: @escaping @Sendable () async throws -> Void
    ) {
        state.withLock { state in
            guard state.phase == .open else { return }
            state.taskCount += 1
            let number = state.taskCount
            // Awaited at the end of the scope.
            let task = Task(executorPreference: executor) { [self] in
                waitUntilRegistered()
                do {
                    try await CurrentScope.bind(self) { try await body() }
                } catch {
                    if isInterruption(error) { noteSurfacing() }
                    let isAsked = isInterruption(error) || Task.isCancelled && error.isInterruption
                    if !isAsked { bus.publish(.cleanup(step: name, failure: "\(error)")) }
                }
                self.state.withLock { _ = $0.tasks.removeValue(forKey: number) }
            }
            state.tasks[number] = ScopeTask(name: name, limit: limit, task: task)
            // It has not begun, so it has no code that would run now.
            if state.inbox.stage.shouldTerminateActiveTasks { task.cancel() }
        }
    }

    /// Who starts a task holds the lock until it is on the list and, in an interrupted scope, cancelled.
    private func waitUntilRegistered() { state.withLock { _ in } }

    /// Runs `action` at the scope's end, whichever way that is: return, error, interrupt at any stage. The last one that
    /// was added is the first to run. Each has its own limit, runs in a scope of its own with that timeout, and stops no
    /// other one by failing or by being late. What became of it is told as ``ScopeEvent/cleanup(step:failure:)``.
    ///
    /// - Returns: `false` when the scope has ended already: then the caller cleans up itself.
    public func onEnd(
        _ name: String,
        limit: Duration = defaultCleanupLimit,
        _ action: @escaping @Sendable () async throws -> Void
    ) -> Bool {
        state.withLock { state in
            guard state.phase == .open else { return false }
            state.cleanup.append(CleanupStep(name: name, limit: limit.clamped, action: action))
            return true
        }
    }

    /// Waits for each task, all at the same time.
    func end(_ tasks: [ScopeTask]) async {
        for task in tasks { task.task.cancel() }
        let killed = Waiter(.kill)
        add(killed)
        // Not a child of the surrounding task, which may be cancelled; awaited here.
        await Task {
            await withTaskGroup(of: Bool.self) { group in
                for task in tasks {
                    group.addTask {
                        let isOver = await withLimit(task.limit) { await task.task.value } != nil
                        if !isOver { self.bus.publish(.cleanup(step: task.name, failure: "did not end in time")) }
                        return true
                    }
                }
                group.addTask {
                    await killed.wakeup.wait()
                    try? await Task.sleep(for: Self.killedLimit, clock: .continuous)  // cancelled: all have ended
                    return false
                }
                for _ in tasks where await group.next() == false { break }
                group.cancelAll()
            }
        }.value
        remove(killed)
    }

    /// Runs each step, the last one first.
    func cleanUp(_ steps: [CleanupStep]) async {
        // Not a child of the surrounding task, which may be cancelled; awaited here.
        await Task {
            for step in steps.reversed() {
                bus.publish(.cleanup(step: step.name, failure: await failure(of: step)))
            }
        }.value
    }

    /// Why a step failed; `nil` when it did not.
    private func failure(of step: CleanupStep) async -> String? {
        // First it is asked to end, by its own timeout; a little later it is left alone.
        let result = await withLimit(step.limit + Self.killedLimit, on: executor) {
            await Result {
                try await withDetachedInterruptScope(run: self.run, timeout: step.limit) { _ in
                    try await step.action()
                }
            }
        }
        switch result {
        case .success?: return nil
        case .failure(let error)?: return "\(error)"
        case nil: return "did not end within \(step.limit.displayText)"
        }
    }
}
