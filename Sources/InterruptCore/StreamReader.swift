import Synchronization

/// One reader of a stream, until it is gone.
final class StreamReader<Element: Sendable>: Sendable {
    let continuation: AsyncStream<Element>.Continuation
    private let gone = Atomic<Bool>(false)

    /// Whether nobody reads any more.
    var isGone: Bool { gone.load(ordering: .acquiring) }

    private init(_ continuation: AsyncStream<Element>.Continuation) {
        self.continuation = continuation
    }

    /// A stream and the one who reads it.
    static func make(
        bufferingPolicy: AsyncStream<Element>.Continuation.BufferingPolicy = .unbounded
    ) -> (stream: AsyncStream<Element>, reader: StreamReader) {
        let (stream, continuation) = AsyncStream.makeStream(of: Element.self, bufferingPolicy: bufferingPolicy)
        let reader = StreamReader(continuation)
        // Called under the lock of a task that is being cancelled, so it takes none: the next reader clears up.
        continuation.onTermination = { _ in reader.gone.store(true, ordering: .releasing) }
        return (stream, reader)
    }
}
