import Dispatch
import Synchronization

/// What a scope saves when it is interrupted, on a thread of its own: neither who asks nor the other tasks wait for a disk.
final class CheckpointSaver: Sendable {
    let name: Name
    /// How long the end of a scope waits for the disk.
    let limit: Duration
    private let store: CheckpointStore
    private let state: @Sendable () -> [UInt8]
    /// One after the other: a later state never loses its place to an earlier one.
    private let queue: DispatchQueue
    private let isAbandoned = Atomic<Bool>(false)

    /// - Parameter replaced: the one of the same name before.
    init(
        _ store: CheckpointStore,
        _ name: Name,
        limit: Duration,
        replacing replaced: CheckpointSaver?,
        _ state: @escaping @Sendable () -> [UInt8]
    ) {
        (self.store, self.name, self.limit, self.state) = (store, name, limit.clamped, state)
        queue = replaced?.queue ?? DispatchQueue(label: "checkpoint")
        replaced?.abandon()
    }

    /// What has not reached the disk is left undone: the place may be the next run's by now.
    func abandon() { isAbandoned.store(true, ordering: .releasing) }

    /// Begins to save the state of now; the answer says what became of it.
    @discardableResult
    func save(for signal: InterruptSignal) -> FirstAnswer<CheckpointOutcome> {
        let outcome = FirstAnswer<CheckpointOutcome>()
        queue.async { [self] in
            do throws(CheckpointError) {
                let checkpoint = Checkpoint(bytes: state(), reason: signal.reason, message: signal.message)
                if isAbandoned.load(ordering: .acquiring) { return outcome.give(.failed("another took its place")) }
                try store.save(checkpoint, as: name)
                outcome.give(.saved)
            } catch {
                outcome.give(.failed(error.description))
            }
        }
        return outcome
    }

    /// Begins to delete what nobody needs any more.
    func discard() -> FirstAnswer<CheckpointError?> {
        let failure = FirstAnswer<CheckpointError?>()
        queue.async { [self] in
            do throws(CheckpointError) {
                if !isAbandoned.load(ordering: .acquiring) { try store.discard(name) }
                failure.give(nil)
            } catch {
                failure.give(error)
            }
        }
        return failure
    }
}

extension InterruptScope {
    /// From now on, saves what `state` returns when the work is interrupted at stage 2 or 3: at once, on a thread of its
    /// own, before anything is forced; and again at the scope's end. Work that completes without having taken notice of an
    /// interrupt deletes it. Not saved when the interrupt that first reached stage 2 says so. The last event of the scope
    /// says what became of it. Replaces what was to be saved under the same name. Callable from anywhere; returns at once.
    ///
    /// What an earlier run has left is offered by ``CheckpointStore/offer(_:)``.
    /// - Parameters:
    ///   - store: where it is saved.
    ///   - name: what it is called there.
    ///   - limit: how long the scope's end waits for the disk.
    ///   - state: is called from any thread, also while the work runs.
    public func savesCheckpoint(
        in store: CheckpointStore,
        as name: Name,
        limit: Duration = defaultCleanupLimit,
        _ state: @escaping @Sendable () -> [UInt8]
    ) {
        self.state.withLock { scope in
            guard scope.phase == .open else { return }
            let earlier = scope.savers.first { $0.name == name }
            let saver = CheckpointSaver(store, name, limit: limit, replacing: earlier, state)
            scope.savers.removeAll { $0 === earlier }
            scope.savers.append(saver)
            if let signal = scope.savingSignal { saver.save(for: signal) }
        }
    }

    /// Saves for good, or deletes what nobody needs any more.
    func settle(_ saver: CheckpointSaver, _ status: WorkStatus) async -> CheckpointOutcome? {
        // Work that a drain cut short has left off, too.
        let (ending, cause) = state.withLock { ($0.endingSignal, $0.inbox.cause) }
        if status != .completed, let asked = ending ?? (hasSurfaced ? cause : nil), let cause {
            guard asked.savesCheckpoint else { return .skipped }
            let outcome = saver.save(for: cause)
            let late = CheckpointOutcome.failed("not on disk within \(saver.limit.displayText)")
            let alarm = AlarmClock.ofProcess.setAlarm(at: .now + saver.limit) {
                saver.abandon()
                outcome.give(late)
            }
            defer { alarm.cancel() }
            return await outcome.wait()
        }
        if status == .completed {
            let failure = saver.discard()
            let alarm = AlarmClock.ofProcess.setAlarm(at: .now + saver.limit) {
                saver.abandon()
                failure.give(nil)
            }
            defer { alarm.cancel() }
            if let error = await failure.wait() {
                bus.publish(.cleanup(step: "delete the checkpoint", failure: error.description))
            }
        }
        return nil
    }
}

extension ScopeState {
    /// The signal that first asked the work to end.
    var endingSignal: InterruptSignal? { inbox.accepted.first { $0.stage >= .terminate } }

    /// The first cause, if the work was asked to end and may save before.
    var savingSignal: InterruptSignal? { (endingSignal?.savesCheckpoint ?? false) ? inbox.cause : nil }

    func saveCheckpoints() {
        guard phase == .open, let signal = savingSignal else { return }
        for saver in savers { saver.save(for: signal) }
    }
}

/// Steps of work that are done once, also when the work is interrupted and run again.
///
///     let steps = try CheckpointedSteps(in: store, as: name)
///     try await steps.run("download") { … }
///     try await steps.run("convert") { … }
///
/// To be made in a scope: what is finished is saved as its checkpoint.
public final class CheckpointedSteps: Sendable {
    private let finished: Mutex<[String]>

    /// Reads which steps an earlier run has finished.
    ///
    /// - Throws: what ``CheckpointStore/offer(_:)`` throws. Nothing was begun then, and the file is as it was.
    public init(in store: CheckpointStore, as name: Name) throws(CheckpointError) {
        let bytes = try store.offer(name)?.bytes ?? []
        finished = Mutex(bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
        Interrupt.scope?.savesCheckpoint(in: store, as: name) { [self] in
            Array(finished.withLock { $0 }.map { Array($0.utf8) }.joined(separator: [0]))
        }
    }

    /// The names of the finished steps, in the order in which they were.
    public var names: [String] { finished.withLock { $0 } }

    /// Runs a step, unless it is finished already. A checkpoint of the current scope.
    public func run(_ name: String, _ body: () async throws -> Void) async throws {
        try Interrupt.checkpoint()
        if finished.withLock({ $0.contains(name) }) { return }
        try await body()
        finished.withLock { $0.append(name) }
    }
}
