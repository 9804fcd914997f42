/// The scope of the code that asks, for code that was given none.
public enum Interrupt {
    /// The innermost scope around the running task, also in its child tasks and in tasks that these started with
    /// `Task {}`; `nil` outside of all scopes. In a detached task there is none. A task that outlives the scope that it was
    /// started in hears nothing any more: let it run in ``InterruptScope/startTask(_:limit:_:)`` of a scope that lasts.
    public static var scope: InterruptScope? { CurrentScope.counted }

    /// Whether anything was asked of the current scope; `false` outside of all scopes.
    public static var isInterrupted: Bool { scope?.isInterrupted ?? false }

    /// A checkpoint of the current scope; does nothing outside of all scopes. Returns at once.
    ///
    /// - Throws: as ``InterruptScope/checkpoint(_:)``.
    @inlinable public static func checkpoint(_ name: StaticString = #function) throws(InterruptedError) {
        if CurrentScope.mustSurface(at: name) { try scope?.surface(at: name) }
    }

    /// Waits as ``InterruptScope/sleep(for:_:)`` in the current scope; outside of all scopes, where nothing is asked, until
    /// the time is over or the task is cancelled.
    public static func sleep(for duration: Duration, _ name: StaticString = #function) async throws {
        // Without a scope nobody asks: the cancellation of the task is all that ends it early.
        guard let scope else { return try await Task.sleep(for: duration.clamped, clock: .continuous) }
        try await scope.sleep(for: duration, name)
    }
}

/// Runs `body` in a new scope below the current one and returns its result. The scope's streams end when `body` has
/// returned. Not a checkpoint: what was asked surfaces in `body`, or where the caller asks next.
///
/// - Parameters:
///   - run: the id under which the scope's interrupts are known; `nil` is that of the scope above, or a new one.
///   - timeout: interrupts the scope with reason `timeout` when `body` is still running after this long. A longer one than
///     that of a scope above gains nothing: that one reaches this scope too.
///   - strategies: what an interrupt means for this kind of operation, asked in order; none is what it says.
///   - body: the work.
public func withInterruptScope<Result>(
    run: RunID? = nil,
    timeout: Duration? = nil,
    strategies: [any InterruptStrategy] = [],
    _ body: (InterruptScope) async throws -> Result
) async rethrows -> Result {
    let scope = InterruptScope(run: run, parent: Interrupt.scope, strategies: strategies)
    return try await scope.contain(timeout: timeout, body)
}

/// Runs `body` in a new scope that is at the root of a tree of its own, whatever scope the caller is in.
///
/// For who runs work on behalf of others: what stops the one who runs it is not what stops the work.
/// - Parameters: as of ``withInterruptScope(run:timeout:strategies:_:)``.
public func withDetachedInterruptScope<Result>(
    run: RunID? = nil,
    timeout: Duration? = nil,
    strategies: [any InterruptStrategy] = [],
    _ body: (InterruptScope) async throws -> Result
) async rethrows -> Result {
    try await InterruptScope(run: run, parent: nil, strategies: strategies).contain(timeout: timeout, body)
}

/// Runs `body`, which cleans up or must not stop half-way, in a scope that keeps for a while what is asked of the scopes
/// above: up to stage 2, and for `limit` from the first interrupt on, or from the beginning if there was one before. Then
/// it arrives. Stage 3 arrives at once. Not a checkpoint.
///
/// It keeps interrupts away, not the cancellation of the task that it runs in: in a task of the scope, which stage 2
/// cancels, clean up with ``InterruptScope/onEnd(_:limit:_:)``.
/// - Parameters:
///   - limit: how long the shield holds. There is no default: somebody waits that long.
///   - body: the work.
public func withInterruptShield<Result>(
    limit: Duration,
    _ body: (InterruptScope) async throws -> Result
) async rethrows -> Result {
    let shield = Shield(limit: limit.clamped)
    return try await InterruptScope(run: nil, parent: Interrupt.scope, shield: shield).contain(timeout: nil, body)
}

extension InterruptScope {
    /// Runs `body`, which cannot stop half-way, under a name that is shown to whoever waits for it to stop: when an
    /// interrupt comes meanwhile, the scope publishes ``ScopeEvent/uninterruptible(section:elapsed:)``. Up to stage 2 it
    /// is kept from `body` until that has returned; stage 3 arrives at once. Not a checkpoint.
    public func uninterruptible<Result>(
        _ section: String,
        _ body: () async throws -> Result
    ) async rethrows -> Result {
        let shield = Shield(limit: .longestAccepted)
        let scope = InterruptScope(run: nil, parent: self, shield: shield, section: section)
        return try await scope.contain(timeout: nil) { _ in try await body() }
    }

    /// A scope below `parent` for work of others, whose tasks and steps run on `executor` and nowhere else: they may
    /// block its threads. ``contain(timeout:_:)`` runs the work.
    package convenience init(below parent: InterruptScope, on executor: any TaskExecutor) {
        self.init(run: nil, parent: parent, executor: executor)
    }

    package func contain<Result>(
        timeout: Duration? = nil,
        _ body: (InterruptScope) async throws -> Result
    ) async rethrows -> Result {
        if let timeout { setTimeout(timeout) }
        do {
            let result = try await CurrentScope.bind(self) { try await body(self) }
            // Work that took notice and returned what it had was interrupted as well.
            await finish(hasSurfaced ? .interrupted : .completed)
            return result
        } catch {
            if isInterruption(error) { noteSurfacing() }
            await finish(isInterruption(error) ? .interrupted : .failed)
            throw error
        }
    }

    /// Whether work that ended with this error has ended because this scope was asked to.
    package func isInterruption(_ error: any Error) -> Bool {
        stage.shouldTerminateActiveTasks && error.isInterruption
    }
}
