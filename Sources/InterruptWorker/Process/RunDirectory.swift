internal import Dispatch
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

    private enum Listening {
        /// Before and after.
        case off
        case on(DescriptorEvents.Watch, RunMessageLines, @Sendable (Result<[RunMessage], RunMessageError>) -> Void)
    }

    let path: FilePath
    private let directory: Int32
    private let pipe: Int32
    private let state = Mutex(State())
    private let listening = Mutex(Listening.off)

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
        // Nobody reads it yet.
        let isWhole = write(
            [
                ("run", order.run.rawValue), ("job", "\(order.job)"), ("attempt", "\(order.attempt)"),
                ("deadline", deadline ?? ""),
            ],
            to: "run"
        )
        if !isWhole { unlinkat(directory, "run", 0) }
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
        let isWhole = write(
            [
                ("stage", "\(state.stage.rawValue)"), ("stage_name", state.stage.name),
                ("reason", cause.reason.rawValue),
                ("message", cause.message ?? ""), ("triggered_by", cause.triggeredBy ?? ""),
                ("deadline", instant?.rfc3339 ?? ""), ("save_checkpoint", cause.savesCheckpoint ? "1" : "0"),
                ("request_id", cause.id.rawValue),
            ],
            to: ".interrupt"
        )
        if isWhole { renameat(directory, ".interrupt", directory, "interrupt") }
    }

    /// Answers whether it is there now, whole. What cannot be written is the loss of the job, which has the directory to
    /// itself but for us.
    private func write(_ lines: [(name: String, value: String)], to name: String) -> Bool {
        var text = ""
        for (name, value) in lines { text += "\(name)=\(value.escapedForDisplay(limit: 8_192))\n" }
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let file = openat(directory, name, flags, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        return text.withUTF8 { Glibc.write(file, $0.baseAddress, $0.count) == $0.count }
    }

    /// Calls `onMessage` with all that the job tells, in its order and one call at a time, until ``stopListening()``. It
    /// must return at once.
    func listen(_ onMessage: @escaping @Sendable (Result<[RunMessage], RunMessageError>) -> Void) {
        listening.withLock { listening in
            // Under the lock, so that an event that comes at once finds the watch.
            let watch = DescriptorEvents.ofProcess.watch(pipe) {
                DispatchQueue.global().async { self.hear() }
            }
            listening = .on(watch, RunMessageLines(), onMessage)
        }
    }

    /// Calls back with what is in the pipe still, and then no more.
    func stopListening() {
        listening.withLock { listening in
            guard case .on(let watch, _, _) = listening else { return }
            hear(&listening)
            DescriptorEvents.ofProcess.end(watch)
            listening = .off
        }
    }

    private func hear() {
        listening.withLock { hear(&$0) }
        // Whoever writes without end is read at 1.3 MB/s: nobody else waits for it.
        _ = AlarmClock.ofProcess.setAlarm(at: .now + .milliseconds(50)) { [weak self] in
            self?.listening.withLock { listening in
                if case .on(let watch, _, _) = listening { DescriptorEvents.ofProcess.again(watch) }
            }
        }
    }

    private func hear(_ listening: inout Listening) {
        guard case .on(let watch, var lines, let onMessage) = listening else { return }
        for message in lines.take(read()) { onMessage(message) }
        listening = .on(watch, lines, onMessage)
    }

    /// What the pipe holds, which is 64 KiB at most.
    private func read() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            count = max(0, Glibc.read(pipe, buffer.baseAddress, buffer.count))
        }
    }

    /// Removes the directory and whatever the job has put into it. Returns why something of it is left: nothing depends
    /// on that, and the next start tries again.
    func remove() -> Errno? {
        let isAsked = state.withLock { $0.cause != nil }
        for name in isAsked ? ["run", "tell", "interrupt"] : ["run", "tell"] { unlinkat(directory, name, 0) }
        if rmdir(path.string) == 0 { return nil }
        try? FileManager.default.removeItem(atPath: path.string)  // the next call says what came of it
        return rmdir(path.string) == 0 || errno == ENOENT ? nil : Errno(rawValue: errno)
    }
}
