import InterruptCore
import Logging

/// Writes what a run has to put on record, in order and until it is there: its receipts, then its end.
struct Receipts<Transport: InterruptTransport>: Sendable {
    private let order: RunOrder
    private let transport: Transport
    private let logger: Logger
    private let stream: AsyncStream<(signal: InterruptSignal, way: DeliveryWay)>
    private let continuation: AsyncStream<(signal: InterruptSignal, way: DeliveryWay)>.Continuation

    init(order: RunOrder, transport: Transport, logger: Logger) {
        self.order = order
        self.transport = transport
        self.logger = logger
        (stream, continuation) = AsyncStream.makeStream()
    }

    /// Queues a receipt. Callable from any thread; returns at once.
    func add(_ signal: InterruptSignal, _ way: DeliveryWay) {
        continuation.yield((signal, way))
    }

    /// No receipt follows.
    func finish() {
        continuation.finish()
    }

    /// Writes receipts until ``finish()`` and all are written.
    func write() async {
        for await receipt in stream {
            await untilRecorded("a receipt") { () async throws(TransportError) in
                try await transport.acknowledge(receipt.signal, way: receipt.way, for: order.run)
            }
        }
    }

    /// Writes the end.
    func record(_ ending: RunEnding) async {
        await untilRecorded("an end") { () async throws(TransportError) in
            try await transport.end(order.run, as: ending)
        }
    }

    /// Repeats `write` while the transport is out of reach; what it refuses is said and given up.
    private func untilRecorded(_ what: String, _ write: () async throws(TransportError) -> Void) async {
        var pause = RetryPause()
        while true {
            do throws(TransportError) {
                return try await write()
            } catch .unavailable(let why) {
                logger.debug("cannot record yet", metadata: ["what": "\(what)", "why": "\(why.escapedForDisplay())"])
                if Task.isCancelled { return }
                await pause.wait(orUntil: nil)
            } catch {
                logger.error("\(what) was refused", metadata: ["run": "\(order.run)", "why": "\(error)"])
                return
            }
        }
    }
}
