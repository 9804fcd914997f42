import InterruptCore
import Logging

/// Writes what a run has to put on record, in order and until it is there: its process, its receipts, its pauses, what it
/// tells, why it does not end, its last progress, then its end.
struct Receipts<Transport: InterruptTransport>: Sendable {
    private enum Item {
        case process(ProcessIdentity)
        case receipt(InterruptSignal, DeliveryWay)
        case holdout(Holdout)
        case progress(WorkProgress)
        case pause(Bool)
        case note(RunNote)
    }

    private let order: RunOrder
    private let transport: Transport
    private let recorder: PersistentRecorder
    private let stream: AsyncStream<Item>
    private let continuation: AsyncStream<Item>.Continuation

    init(order: RunOrder, transport: Transport, logger: Logger, isHurried: @escaping @Sendable () -> Bool) {
        self.order = order
        self.transport = transport
        recorder = PersistentRecorder(run: order.run, logger: logger, isHurried: isHurried)
        (stream, continuation) = AsyncStream.makeStream()
    }

    /// Queues a receipt. Callable from any thread; returns at once.
    func add(_ signal: InterruptSignal, _ way: DeliveryWay) {
        continuation.yield(.receipt(signal, way))
    }

    /// Queues the leader's process, by which a later instance of the worker finds what this one left behind.
    func spawned(_ process: ProcessIdentity) {
        continuation.yield(.process(process))
    }

    /// Queues why the run goes on although it was asked to end.
    func add(_ holdout: Holdout) {
        continuation.yield(.holdout(holdout))
    }

    /// Queues what the run has told last of its progress.
    func add(_ progress: WorkProgress) {
        continuation.yield(.progress(progress))
    }

    /// Queues that the run is paused now, or goes on.
    func add(isPaused: Bool) {
        continuation.yield(.pause(isPaused))
    }

    /// Queues what the run tells of itself.
    func add(_ note: RunNote) {
        continuation.yield(.note(note))
    }

    /// Nothing but the end follows.
    func finish() {
        continuation.finish()
    }

    /// Writes what is queued until ``finish()`` and all is written.
    func write() async {
        for await item in stream {
            let isWritten =
                switch item {
                case .process(let process):
                    await recorder.write("a process") { () async throws(TransportError) in
                        try await transport.spawned(order.run, process: process)
                    }
                case .holdout(let holdout):
                    await recorder.write("a holdout") { () async throws(TransportError) in
                        try await transport.publish(holdout, of: order.run)
                    }
                case .progress(let progress):
                    await recorder.write("the last progress") { () async throws(TransportError) in
                        try await transport.publish(progress, of: order.run)
                    }
                case .pause(let isPaused):
                    await recorder.write(isPaused ? "a pause" : "the end of a pause") {
                        () async throws(TransportError) in
                        try await transport.record(isPaused: isPaused, of: order.run)
                    }
                case .note(let note):
                    await recorder.write("a note") { () async throws(TransportError) in
                        try await transport.publish(note, of: order.run)
                    }
                case .receipt(let signal, let way):
                    await recorder.write("a receipt") { () async throws(TransportError) in
                        try await transport.acknowledge(signal, way: way, for: order.run)
                    }
                }
            if !isWritten { return }
        }
    }

    /// Writes the end.
    func record(_ ending: RunEnding) async {
        await recorder.write("an end") { () async throws(TransportError) in
            try await transport.end(order.run, as: ending)
        }
    }
}

/// Repeats a write while the transport is out of reach.
struct PersistentRecorder: Sendable {
    let run: RunID
    let logger: Logger
    /// Whether an unreachable transport is not to be waited for any more.
    let isHurried: @Sendable () -> Bool

    /// Returns when `write` is done or was refused, which is said; `false` when the transport stayed out of reach until
    /// there was no time left.
    @discardableResult
    func write(_ what: String, _ write: () async throws(TransportError) -> Void) async -> Bool {
        var pause = RetryPause()
        while true {
            do throws(TransportError) {
                try await write()
                return true
            } catch .unavailable(let why) {
                let metadata: Logger.Metadata = ["run": "\(run)", "why": "\(why.escapedForDisplay())"]
                if isHurried() {
                    logger.error("\(what) is not recorded", metadata: metadata)
                    return false
                }
                logger.debug("\(what) cannot be recorded yet", metadata: metadata)
                await pause.wait(orUntil: nil)
            } catch {
                logger.error("\(what) was refused", metadata: ["run": "\(run)", "why": "\(error)"])
                return true
            }
        }
    }
}
