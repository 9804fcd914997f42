internal import Dispatch
internal import InterruptCore
internal import Logging
internal import Synchronization
internal import SystemPackage

/// The outcomes of a worker's runs that wait for the transport, one small file a run.
///
/// Nothing is written as long as the transport takes what it is given. Files are written and removed on a thread of the
/// outbox's own, the newest state of each run in the order of the calls: a disk that is slow or hangs delays nobody.
final class Outbox: Sendable {
    /// A file that an earlier instance has left.
    struct Left: Sendable {
        var outcome: WaitingOutcome
        var writtenAt: Timestamp
    }

    private enum Change {
        case keep(WaitingOutcome)
        case remove
    }

    private struct State {
        /// What the thread has not taken yet. It is on its way when there is one.
        var changes: [RunID: Change] = [:]
        /// What is in the files.
        var kept: [RunID: WaitingOutcome] = [:]
        /// The runs whose outcome is in memory only.
        var unkept: Set<RunID> = []
        var hasWarned = false
    }

    /// Where the files are; made with the first one.
    let directory: FilePath
    private let logger: Logger
    private let state = Mutex(State())
    private let thread = DispatchQueue(label: "outbox")

    /// The outbox in `directory`, which is one worker's: a name has one live instance.
    init(in directory: FilePath, logger: Logger) {
        self.directory = directory
        self.logger = logger
    }

    /// Puts the run's outcome into its file, in the place of what is there. Returns at once; callable from any thread.
    func keep(_ outcome: WaitingOutcome) {
        change(outcome.run) { state in
            let isThere = state.changes[outcome.run] == nil && state.kept[outcome.run] == outcome
            return isThere ? nil : .keep(outcome)
        }
    }

    /// Removes the run's file, if there is one. Returns at once; callable from any thread.
    func discard(_ run: RunID) {
        change(run) { _ in .remove }
    }

    /// How many outcomes wait in files, and how many only in memory, when all that was asked for is done.
    func settled() async -> (kept: Int, unkept: Int) {
        await onThread {
            self.carryOut()
            return self.state.withLock { ($0.kept.count, $0.unkept.count) }
        }
    }

    /// What earlier instances have left, in the order of the runs' ids. What cannot be read is left where it is, and said.
    func left() async -> [Left] {
        await onThread {
            do throws(OutboxError) {
                guard let folder = try OutboxFolder(opening: self.directory) else { return [] }
                return self.readable(try folder.entries())
            } catch {
                self.warn(error)
                return []
            }
        }
    }

    // MARK: On the thread

    private func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            thread.async { continuation.resume(returning: body()) }
        }
    }

    private func change(_ run: RunID, to decide: (borrowing State) -> Change?) {
        let isFirst = state.withLock { state in
            guard let change = decide(state) else { return false }
            defer { state.changes[run] = change }
            return state.changes.isEmpty
        }
        if isFirst { thread.async { self.carryOut() } }
    }

    private func carryOut() {
        let changes = state.withLock { state in
            defer { state.changes = [:] }
            return state.changes
        }
        if changes.isEmpty { return }
        var done: [RunID: Change] = [:]
        do throws(OutboxError) {
            let folder = try OutboxFolder(making: directory)
            var failure: OutboxError?
            for (run, change) in changes {
                do throws(OutboxError) {
                    switch change {
                    case .keep(let outcome): try folder.save(outcome.text, for: run)
                    case .remove: try folder.remove(run)
                    }
                    done[run] = change
                } catch {
                    failure = error
                }
            }
            let isAnySaved = done.values.contains { if case .keep = $0 { true } else { false } }
            if isAnySaved { try folder.synchronize() }
            if let failure { throw failure }
        } catch {
            warn(error)
        }
        note(changes, done)
    }

    private func note(_ changes: [RunID: Change], _ done: [RunID: Change]) {
        state.withLock { state in
            for (run, change) in changes {
                switch change {
                case .keep(let outcome) where done[run] != nil:
                    state.kept[run] = outcome
                    state.unkept.remove(run)
                case .keep:
                    state.kept[run] = nil
                    state.unkept.insert(run)
                case .remove:
                    // A file that cannot be removed is sent once more by the next instance, which changes nothing.
                    state.kept[run] = nil
                    state.unkept.remove(run)
                }
            }
        }
    }

    private func warn(_ error: OutboxError) {
        let isFirst = state.withLock { state in
            defer { state.hasWarned = true }
            return !state.hasWarned
        }
        guard isFirst else { return }
        logger.warning(
            "the outbox cannot be used: what cannot be recorded yet waits in memory only",
            metadata: ["directory": "\(directory)", "why": "\(error)"]
        )
    }

    private func readable(_ entries: [OutboxFolder.Entry]) -> [Left] {
        var unreadable: [String] = []
        let left = entries.compactMap { entry -> Left? in
            do {
                let outcome = try WaitingOutcome(text: entry.content.get())
                guard outcome.run == OutboxFolder.run(named: entry.name) else {
                    throw OutboxError("it is not the outcome of the run that it is named after")
                }
                return Left(outcome: outcome, writtenAt: entry.modifiedAt)
            } catch {
                let why = (error as? MalformedOutcome)?.reason ?? "\(error)"
                unreadable.append("\(entry.name): \(why)".escapedForDisplay(limit: 400))
                return nil
            }
        }
        if let first = unreadable.first {
            logger.warning(
                "files in the outbox that are no outcomes are left there",
                metadata: ["directory": "\(directory)", "count": "\(unreadable.count)", "first": "\(first)"]
            )
        }
        return left
    }
}
