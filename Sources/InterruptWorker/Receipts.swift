import InterruptCore
import Logging

/// Writes what a run has to put on record, in order and until it is there: its process, its receipts, its pauses, what it
/// tells, why it does not end, its last progress, then its end. While the transport is out of reach, receipts and end are
/// in the worker's outbox as well.
struct Receipts<Transport: InterruptTransport>: Sendable {
    private enum Item {
        case process(ProcessIdentity)
        case receipt(WaitingOutcome.Receipt)
        case holdout(Holdout)
        case progress(WorkProgress)
        case pause(Bool)
        case note(RunNote)
        case end(RunEnding, at: Timestamp)

        /// What the log calls it.
        var text: String {
            switch self {
            case .process: "a process"
            case .receipt: "a receipt"
            case .holdout: "a holdout"
            case .progress: "the last progress"
            case .pause(let isPaused): isPaused ? "a pause" : "the end of a pause"
            case .note: "a note"
            case .end: "an end"
            }
        }
    }

    private let run: RunID
    private let instance: String
    private let transport: Transport
    private let recorder: PersistentRecorder
    private let lastCall: LastCall
    /// `nil` for a worker without an outbox.
    private let unrecorded: Unrecorded?
    private let stream: AsyncStream<Item>
    private let continuation: AsyncStream<Item>.Continuation

    init(
        order: RunOrder,
        instance: String,
        transport: Transport,
        logger: Logger,
        outbox: Outbox?,
        lastCall: LastCall,
        isHurried: @escaping @Sendable () -> Bool
    ) {
        run = order.run
        self.instance = instance
        self.transport = transport
        self.lastCall = lastCall
        unrecorded = outbox.map { Unrecorded(order.run, of: instance, outbox: $0) }
        recorder = PersistentRecorder(
            run: order.run,
            logger: logger,
            lossLevel: outbox == nil ? .error : .debug,
            isHurried: isHurried
        )
        (stream, continuation) = AsyncStream.makeStream()
    }

    /// Queues a receipt. Callable from any thread; returns at once.
    func add(_ signal: InterruptSignal, _ way: DeliveryWay) {
        let receipt = WaitingOutcome.Receipt(signal: signal, way: way, takenAt: .now)
        unrecorded?.add(isReachable: transport.isReachable) { $0.receipts.append(receipt) }
        continuation.yield(.receipt(receipt))
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

    /// Queues the end, if there is one. Nothing follows.
    func finish(_ ending: RunEnding?) {
        if let ending {
            let now = Timestamp.now
            unrecorded?.add(isReachable: transport.isReachable) { ($0.ending, $0.endedAt) = (ending, now) }
            continuation.yield(.end(ending, at: now))
        }
        continuation.finish()
    }

    /// Writes what is queued until ``finish(_:)``; returns when all is written, or nothing is waited for any more.
    func write() async {
        for await item in stream {
            let result = await record(item)
            switch (item, result) {
            // A run whose end is on record needs no receipts any more.
            case (.end, .written):
                unrecorded?.recorded { ($0.receipts, $0.ending) = ([], nil) }
            case (.receipt(let receipt), .written), (.receipt(let receipt), .refused):
                unrecorded?.recorded { outcome in
                    if let index = outcome.receipts.firstIndex(of: receipt) { outcome.receipts.remove(at: index) }
                }
            // Who refuses it now may take it later: it is how the run ended.
            case (.end, .refused): unrecorded?.keep()
            case (_, .written): unrecorded?.recorded { _ in }
            case (_, .refused), (_, .givenUp): break
            }
        }
    }

    private func record(_ item: Item) async -> PersistentRecorder.Result {
        guard let unrecorded else { return await repeated(item) }
        if transport.isReachable {
            let result = await recorder.attempt(item.text) { () async throws(TransportError) in try await send(item) }
            if let result { return result }
        }
        unrecorded.keep()
        if recorder.isHurried(), !transport.isReachable { return .givenUp }
        return await lastCall.cut(unless: { transport.isReachable }) { await repeated(item) }
    }

    private func repeated(_ item: Item) async -> PersistentRecorder.Result {
        await recorder.write(item.text) {
            unrecorded?.keep()
        } _: { () async throws(TransportError) in
            try await send(item)
        }
    }

    private func send(_ item: Item) async throws(TransportError) {
        switch item {
        case .process(let process): try await transport.spawned(run, process: process)
        case .receipt(let receipt) where isLate(receipt.takenAt):
            _ = try await transport.record(WaitingOutcome(run: run, instance: instance, receipts: [receipt]))
        case .receipt(let receipt): try await transport.acknowledge(receipt.signal, way: receipt.way, for: run)
        case .holdout(let holdout): try await transport.publish(holdout, of: run)
        case .progress(let progress): try await transport.publish(progress, of: run)
        case .pause(let isPaused): try await transport.record(isPaused: isPaused, of: run)
        case .note(let note): try await transport.publish(note, of: run)
        case .end(let ending, let instant) where isLate(instant):
            let outcome = WaitingOutcome(run: run, instance: instance, ending: ending, endedAt: instant)
            _ = try await transport.record(outcome)
        case .end(let ending, _): try await transport.end(run, as: ending)
        }
    }

    /// Whether it has waited for so long that the record is to say when it happened, and not when it was written.
    private func isLate(_ instant: Timestamp?) -> Bool {
        instant.map { Timestamp.now - $0 > .seconds(1) } ?? false
    }
}
