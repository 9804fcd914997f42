import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs many items, some of them at a time, and keeps what was finished when it is interrupted.
///
///     let pages = try await ParallelRunner().run(urls) { url in try await fetch(url) }
///
/// Stage 1 starts no further item and waits for those that run. Stage 2 cancels those that run, too, waits for each until
/// its limit is over, and returns what there is, in the original order, with what is missing and why. Stage 3 throws. An
/// item that fails stops no other one.
public struct ParallelRunner: Sendable {
    /// The accepted numbers of workers.
    public static let workerLimits = 1...1_024

    /// How many items run at a time.
    public let workers: Int
    /// How long an item that runs is waited for after stage 2.
    public let limit: Duration
    /// Interrupts all items, with reason `error_threshold`, when too many have failed; `nil` is never.
    public let errorThreshold: ErrorThreshold?

    /// A runner.
    ///
    /// - Parameters:
    ///   - workers: clamped to ``workerLimits``; ``defaultWorkers`` if nothing is said.
    ///   - limit: that of a scope's tasks, if nothing is said.
    ///   - errorThreshold: none, if nothing is said.
    public init(
        workers: Int = defaultWorkers,
        limit: Duration = InterruptScope.defaultCleanupLimit,
        errorThreshold: ErrorThreshold? = nil
    ) {
        self.workers = min(max(workers, Self.workerLimits.lowerBound), Self.workerLimits.upperBound)
        (self.limit, self.errorThreshold) = (limit, errorThreshold)
    }

    /// What the environment variable `INTERRUPT_WORKERS` says; if it says nothing or no number that is accepted, three
    /// quarters of the processors, at least one.
    public static var defaultWorkers: Int {
        if let text = getenv("INTERRUPT_WORKERS"), let number = Int(String(cString: text)), workerLimits ~= number {
            return number
        }
        return max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)) * 3 / 4)
    }

    /// Runs `work` for each item, in a scope of its own, below one for all items, below the current scope. Returns when
    /// every item that was started has ended, except as the stages say.
    ///
    /// Progress and what is left out are told as events of the current scope. Cancelling the surrounding task is stage 2.
    /// - Throws: ``InterruptedError`` at stage 3 only. An item's error is its outcome.
    public func run<Item: Sendable, Value: Sendable>(
        _ items: [Item],
        _ work: @escaping @Sendable (Item) async throws -> Value
    ) async throws(InterruptedError) -> PartialResults<Value> {
        let bus = Interrupt.scope?.bus
        let gathering = Gathering<Value>(count: items.count, bus: bus)
        let scope = await withInterruptScope { scope in
            await withTaskCancellationHandler {
                await submit(items, work, gathering, scope)
            } onCancel: {
                scope.interrupt(reason: .custom, message: "The surrounding task was cancelled")
            }
            return scope
        }
        if scope.stage.shouldExitImmediately, let cause = scope.cause {
            throw InterruptedError(cause, at: "result collection", text: StageTexts.leavingCollection)
        }
        let results = gathering.results(cause: scope.cause)
        if !results.isWhole {
            scope.noteSurfacing(from: .drain)
            let counts = results.counts
            bus?.publish(.notice(StageTexts.partialResults(counts.completed, of: counts.total)))
        }
        return results
    }

    private func submit<Item: Sendable, Value: Sendable>(
        _ items: [Item],
        _ work: @escaping @Sendable (Item) async throws -> Value,
        _ gathering: Gathering<Value>,
        _ scope: InterruptScope
    ) async {
        var plan = ParallelPlan(count: items.count, workers: workers)
        let failures = Mutex(errorThreshold.map(FailureWindow.init))
        scope.add(gathering.change)
        defer { scope.remove(gathering.change) }
        while true {
            switch plan.step(at: scope.stage) {
            case .submit(let index):
                gathering.begin()
                scope.startTask("task \(index + 1)/\(items.count)", limit: limit) {
                    let result = await Result { try await withInterruptScope { _ in try await work(items[index]) } }
                    let isFailure = gathering.end(index, result, isAsked: scope.stage.shouldTerminateActiveTasks)
                    // Under the lock: another failure, which is one too many as well, frees its worker only after it.
                    if isFailure {
                        failures.withLock { failures in
                            guard let signal = failures?.failed(at: .now) else { return }
                            gathering.bus?.publish(.notice(signal.message ?? ""))
                            scope.receive(signal)
                        }
                    }
                    gathering.freeWorker()  // now: no item starts between one failure too many and its interrupt
                }
            case .stopSubmitting(let index):
                gathering.bus?.publish(.notice(StageTexts.stoppingSubmission(at: index + 1, of: items.count)))
            case .wait:
                await gathering.change.wakeup.wait()
                for _ in 0..<gathering.takeFreeWorkers() { plan.itemEnded() }
            case .finish:
                if scope.stage.shouldTerminateActiveTasks {
                    gathering.bus?.publish(.notice(StageTexts.stoppingCollection))
                }
                return
            case .leave: return
            }
        }
    }
}
