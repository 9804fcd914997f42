internal import Dispatch
internal import Glibc
internal import InterruptCore
internal import Logging
internal import Synchronization
internal import SystemPackage

/// Reads a run's two pipes as fast as the file takes it, and offers what it read to the feed.
///
/// The job waits for the disk at most, never for the feed's consumer.
final class OutputSpool: Sendable {
    /// How much is read after the end at most, in case a process outside the group goes on writing.
    private static let drainLimit = 1 << 20
    private static let drainTime = Duration.milliseconds(200)
    private static let readSize = 65_536
    private static let readsPerEvent = 16

    private enum Reading: Equatable { case more, empty, ended }

    private struct State: ~Copyable {
        var file: OutputFile
        var isFailureLogged = false
        var lastLine = LastLine()
        /// The watches of the pipes that are open, by descriptor.
        var watches: [Int32: DescriptorEvents.Watch] = [:]
    }

    private struct Pipe {
        let descriptor: Int32
        let stream: OutputChunk.Stream
    }

    /// On the threads that are there: a queue without a target makes one of its own when they are busy.
    private let queue = DispatchQueue(label: "interrupt.output", target: .global())
    private let feed: OutputFeed
    private let logger: Logger
    private let state: Mutex<State>
    private let pipes: [Pipe]

    /// Starts to read `output` and `error`, non-blocking descriptors that it closes at the end.
    init(file: consuming OutputFile, feed: OutputFeed, output: Int32, error: Int32, logger: Logger) {
        self.feed = feed
        self.logger = logger
        state = Mutex(State(file: file))
        pipes = [Pipe(descriptor: output, stream: .output), Pipe(descriptor: error, stream: .error)]
        for pipe in pipes { start(pipe) }
    }

    /// Reads what is still in the pipes without waiting for more, closes everything and ends the feed.
    ///
    /// - Parameter limit: how long the feed's consumer may take for what it has not got yet.
    func finish(handingOutWithin limit: Duration) async {
        // Most jobs have closed them by now.
        let isClosed = state.withLock { $0.watches.isEmpty }
        if !isClosed {
            await withCheckedContinuation { continuation in
                queue.async {
                    self.drain()
                    continuation.resume()
                }
            }
        }
        endFile()
        feed.finish(within: limit)
    }

    /// How much was written so far, both streams together.
    var byteCount: Int64 { state.withLock { $0.file.end } }

    /// What is known of the output so far.
    ///
    /// - Parameter path: the file's.
    func summary(path: String) -> RunOutput {
        state.withLock { state in
            RunOutput(
                byteCount: state.file.end,
                file: state.file.isKept ? path : nil,
                keptFrom: state.file.keptFrom,
                lastLine: state.lastLine.text
            )
        }
    }

    private func start(_ pipe: Pipe) {
        state.withLock { state in
            // Under the lock, so that an event that comes at once finds the watch.
            state.watches[pipe.descriptor] = DescriptorEvents.ofProcess.watch(pipe.descriptor) {
                self.queue.async { self.readSome(pipe) }
            }
        }
    }

    private func readSome(_ pipe: Pipe) {
        guard let watch = watch(of: pipe) else { return }
        for _ in 0..<Self.readsPerEvent {
            switch read(pipe.descriptor, of: pipe.stream) {
            case .more: continue
            case .empty: return DescriptorEvents.ofProcess.again(watch)
            case .ended: return close(pipe)
            }
        }
        DescriptorEvents.ofProcess.again(watch)
    }

    /// `nil` when the pipe is closed.
    private func watch(of pipe: Pipe) -> DescriptorEvents.Watch? {
        state.withLock { $0.watches[pipe.descriptor] }
    }

    /// On the queue, as all that uses the descriptor.
    private func close(_ pipe: Pipe) {
        guard let watch = state.withLock({ $0.watches.removeValue(forKey: pipe.descriptor) }) else { return }
        DescriptorEvents.ofProcess.end(watch)
        Glibc.close(pipe.descriptor)
    }

    private func drain() {
        let deadline = ContinuousClock.now + Self.drainTime
        for pipe in pipes where watch(of: pipe) != nil {
            // Once whatever the clock says: that is all that the job can have left in it.
            for _ in 0..<Self.drainLimit / Self.readSize {
                guard read(pipe.descriptor, of: pipe.stream) == .more, .now < deadline else { break }
            }
            close(pipe)
        }
    }

    private func read(_ descriptor: Int32, of stream: OutputChunk.Stream) -> Reading {
        withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 16) { buffer in
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            guard count > 0 else {
                return count < 0 && (errno == EAGAIN || errno == EINTR) ? .empty : .ended
            }
            keep(UnsafeRawBufferPointer(rebasing: buffer[..<count]), of: stream)
            return .more
        }
    }

    private func keep(_ bytes: UnsafeRawBufferPointer, of stream: OutputChunk.Stream) {
        let (offset, kept, failure) = state.withLock { state in
            state.lastLine.append(bytes)
            let offset = state.file.append(bytes)
            let kept = state.file.failure.map { max(0, Int($0.offset - offset)) } ?? bytes.count
            let failure = state.isFailureLogged ? nil : state.file.failure
            if failure != nil { state.isFailureLogged = true }
            return (offset, kept, failure)
        }
        feed.append(bytes, kept: kept, of: stream, at: offset)
        if let failure { logger.error("\(failure.text)") }
    }

    /// Says in the output itself, as its last chunk, that some of it was not kept.
    private func endFile() {
        let (failure, end) = state.withLock { ($0.file.failure, $0.file.end) }
        guard let failure else { return }
        Array((failure.text + "\n").utf8).withUnsafeBytes { feed.append($0, kept: 0, of: .error, at: end) }
    }
}
