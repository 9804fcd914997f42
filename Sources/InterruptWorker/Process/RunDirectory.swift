internal import FoundationEssentials
internal import Glibc
internal import InterruptCore
internal import Synchronization
internal import SystemPackage

/// The private directory of a run, `INTERRUPT_RUN_DIR`, where job and worker tell each other what Unix signals cannot.
///
///     run          run=, job=, attempt=, deadline=
///     interrupt    there once it was asked to end: stage=, reason=, message=, triggered_by=, deadline= and more
///     tell         a pipe: the job writes messages, one a line; see RunMessage
///
/// Both files have a `name=value` on each line, control characters escaped, and are there whole or not at all.
///
/// Unsafe here: the system's calls take numbers. The directory belongs to the job as well, so it is only used by its
/// descriptor, and by no call that could wait: whatever the job puts in the place of a file.
final class RunDirectory: Sendable {
    private struct State {
        /// The first request, which keeps reason, message and name.
        var cause: InterruptSignal?
        var stage = InterruptStage.drain
    }

    let path: FilePath
    private let directory: Int32
    private let pipe: Int32
    private let state = Mutex(State())

    /// Makes the directory for a run, in one that exists.
    init(for order: RunOrder, in parent: FilePath) throws(Errno) {
        // A run id is random text of our own making, but it came over the wire.
        guard let name = FilePath.Component(order.run.rawValue), name.kind == .regular else { throw .invalidArgument }
        let path = parent.appending(name)
        guard mkdir(path.string, 0o700) == 0 else { throw Errno(rawValue: errno) }
        let directory = open(path.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        // Opened for writing as well, so that it has no end when the job closes it.
        let isMade = directory >= 0 && mkfifoat(directory, "tell", 0o600) == 0
        let pipe = isMade ? openat(directory, "tell", O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1
        guard pipe >= 0 else {
            let problem = Errno(rawValue: errno)
            if directory >= 0 { close(directory) }
            try? FileManager.default.removeItem(atPath: path.string)
            throw problem
        }
        (self.path, self.directory, self.pipe) = (path, directory, pipe)
        let deadline = order.timeout.map { Timestamp.now.advanced(by: $0).rfc3339 }
        write(
            "run",
            [
                ("run", order.run.rawValue), ("job", "\(order.job)"), ("attempt", "\(order.attempt)"),
                ("deadline", deadline ?? ""),
            ]
        )
    }

    deinit {
        close(pipe)
        close(directory)
    }

    /// Tells the job what it is asked, before it gets any signal.
    ///
    /// - Parameter deadline: when it is forced; `nil` is never.
    func announce(_ signal: InterruptSignal, deadline: ContinuousClock.Instant?) {
        state.withLock { state in
            state.cause = state.cause ?? signal
            state.stage = max(state.stage, signal.stage)
            write(state, deadline: deadline)
        }
    }

    /// Tells the job that it has until `deadline` now.
    func announce(deadline: ContinuousClock.Instant) {
        state.withLock { write($0, deadline: deadline) }
    }

    private func write(_ state: State, deadline: ContinuousClock.Instant?) {
        guard let cause = state.cause else { return }
        let instant = deadline.map { Timestamp.now.advanced(by: ContinuousClock.now.duration(to: $0)) }
        write(
            "interrupt",
            [
                ("stage", "\(state.stage.rawValue)"), ("stage_name", state.stage.name),
                ("reason", cause.reason.rawValue),
                ("message", cause.message ?? ""), ("triggered_by", cause.triggeredBy ?? ""),
                ("deadline", instant?.rfc3339 ?? ""), ("save_checkpoint", cause.savesCheckpoint ? "1" : "0"),
                ("request_id", cause.id.rawValue),
            ]
        )
    }

    /// What cannot be written is the loss of the job, which has the directory to itself but for us.
    private func write(_ name: String, _ lines: [(name: String, value: String)]) {
        let text = lines.map { "\($0.name)=\($0.value.escapedForDisplay(limit: 8_192))\n" }.joined()
        let draft = ".\(name)"
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let file = openat(directory, draft, flags, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        var bytes = Array(text.utf8)
        guard Glibc.write(file, &bytes, bytes.count) == bytes.count else { return }
        renameat(directory, draft, directory, name)
    }

    /// Calls `onMessage` with all that the job tells, in its order, until the task is cancelled; then with what is in the
    /// pipe still.
    func listen(_ onMessage: (Result<[RunMessage], RunMessageError>) -> Void) async {
        var lines = RunMessageLines()
        while !Task.isCancelled {
            let watch = DescriptorWatch(pipe)
            await withTaskCancellationHandler {
                await watch.readable()
            } onCancel: {
                watch.stop()
            }
            for message in lines.take(read()) { onMessage(message) }
            // Whoever writes without end is read at 1.3 MB/s: nobody else waits for it.
            try? await Task.sleep(for: .milliseconds(50), clock: .continuous)  // cancelled: one last look
        }
        for message in lines.take(read()) { onMessage(message) }
    }

    /// What the pipe holds, which is 64 KiB at most.
    private func read() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            count = max(0, Glibc.read(pipe, buffer.baseAddress, buffer.count))
        }
    }

    /// Removes the directory and whatever the job has put into it.
    func remove() {
        let isAsked = state.withLock { $0.cause != nil }
        for name in isAsked ? ["run", "tell", "interrupt"] : ["run", "tell"] { unlinkat(directory, name, 0) }
        if rmdir(path.string) != 0 {
            // Nothing depends on it: the next start removes what is left.
            try? FileManager.default.removeItem(atPath: path.string)
        }
    }
}
