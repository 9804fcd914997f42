import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The Unix signals that have reached this process, in the order of their arrival; see ``withUnixSignals(_:_:)``.
///
/// Ends when the reading task is cancelled. One task at a time may read.
public final class UnixSignals: AsyncSequence, Sendable {
    /// Reads one signal after the other.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let signals: UnixSignals

        /// The next signal's number; `nil` when the task is cancelled.
        public func next(isolation actor: isolated (any Actor)?) async throws(Never) -> Int32? {
            while !Task.isCancelled {
                if let first = signals.arrived.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return first }
                await signals.arrival.wait()
            }
            return nil
        }
    }

    fileprivate let numbers: Set<Int32>
    /// Gets each signal at once, in place of the sequence, on the thread that reads them from the handler's pipe.
    fileprivate let onArrival: (@Sendable (Int32) -> Void)?
    /// Whether the handlers from before are called too.
    fileprivate let isChaining: Bool
    fileprivate let arrived = Mutex<[Int32]>([])
    fileprivate let arrival = Wakeup()

    fileprivate init(_ numbers: Set<Int32>, onArrival: (@Sendable (Int32) -> Void)?, isChaining: Bool) {
        (self.numbers, self.onArrival, self.isChaining) = (numbers, onArrival, isChaining)
    }

    /// An iterator over what has arrived and was not read.
    public func makeAsyncIterator() -> Iterator { Iterator(signals: self) }

    /// Passes over what has arrived and was not read.
    public func forget() {
        Dispositions.ofProcess.deliver()
        arrived.withLock { $0 = [] }
    }

    /// Whether the process was started with this signal ignored, or has it so by its own doing. That is what `nohup` and a
    /// shell's background mean by it: leave such a signal alone.
    public static func isIgnored(_ number: Int32) -> Bool {
        Dispositions.ofProcess.original(number).isIgnoring
    }
}

/// Runs `body` with the Unix signals that arrive meanwhile, in place of what they otherwise do to the process.
///
/// Afterwards, also when `body` throws, each signal has the disposition that it had before, and one that has arrived and
/// was not read is raised again, for that disposition. Calls may be nested and may overlap: every one of them gets every
/// signal, and the last to return restores.
/// - Throws: what `body` throws, and ``SignalSetupError``.
public func withUnixSignals<Result>(
    _ numbers: [Int32],
    _ body: (UnixSignals) async throws -> Result
) async throws -> Result {
    try await withUnixSignals(numbers, onArrival: nil, isChaining: false, body)
}

/// Runs `body`, and calls `onArrival` for each signal meanwhile, whatever the tasks of the process do. It must return at
/// once.
///
/// - Parameter isChaining: whether the handlers from before are called too, as handlers.
func withUnixSignals<Result>(
    _ numbers: [Int32],
    onArrival: (@Sendable (Int32) -> Void)?,
    isChaining: Bool,
    _ body: (UnixSignals) async throws -> Result
) async throws -> Result {
    let signals = UnixSignals(Set(numbers), onArrival: onArrival, isChaining: isChaining)
    try Dispositions.ofProcess.add(signals)
    defer { Dispositions.ofProcess.remove(signals) }
    return try await body(signals)
}

/// Why Unix signals could not be taken over.
public struct SignalSetupError: Error, CustomStringConvertible {
    /// The system's error number.
    public let code: Int32

    /// One sentence.
    public var description: String { "Failed to set up interrupt handling: \(String(cString: strerror(code)))" }
}

/// Who has taken over which Unix signals, and what these did before.
private final class Dispositions: Sendable {
    static let ofProcess = Dispositions()

    fileprivate struct State {
        var originals: [Int32: sigaction] = [:]
        /// What those did before over which somebody else has put a handler since. That stays there, and may call ours: a
        /// signal that is raised again for it would come back without end.
        var covered: [Int32: sigaction] = [:]
        var listeners: [UnixSignals] = []
        var pipe: (exit: Int32, source: any DispatchSourceRead)?
    }

    private let state = Mutex(State())

    func original(_ number: Int32) -> sigaction {
        state.withLock { state in
            if let original = state.originals[number] { return original }
            var current = sigaction()
            sigaction(number, nil, &current)
            return current
        }
    }

    func add(_ signals: UnixSignals) throws(SignalSetupError) {
        try state.withLock { state throws(SignalSetupError) in
            if state.pipe == nil { state.pipe = try makePipe() }
            state.listeners.append(signals)
            for number in signals.numbers where state.originals[number] == nil {
                var original = sigaction()
                sigaction(number, nil, &original)
                if original.isOurs, let earlier = state.covered.removeValue(forKey: number) { original = earlier }
                var ours = sigaction.ours(after: original)
                guard sigaction(number, &ours, nil) == 0 else {
                    let error = SignalSetupError(code: errno)
                    state.drop(signals)
                    throw error
                }
                state.originals[number] = original
            }
            state.chain(signals.numbers)
        }
    }

    func remove(_ signals: UnixSignals) {
        deliver()
        let unread = state.withLock { state in
            state.drop(signals)
            return signals.arrived.withLock { $0 }.filter { state.originals[$0] == nil && state.covered[$0] == nil }
        }
        for number in unread { kill(getpid(), number) }
        // What is in the pipe only now finds nobody any more, and is raised again too.
        deliver()
    }

    /// Hands what is in the pipe to everybody who listens.
    func deliver() {
        var woken: [UnixSignals] = []
        var called: [(UnixSignals, Int32)] = []
        var unheard: [Int32] = []
        state.withLock { state in
            var bytes = [UInt8](repeating: 0, count: 256)
            while let pipe = state.pipe {
                let count = read(pipe.exit, &bytes, bytes.count)
                if count <= 0 { break }
                for number in bytes.prefix(count).map(Int32.init) {
                    let listeners = state.listeners.filter { $0.numbers.contains(number) }
                    for listener in listeners where listener.onArrival != nil { called.append((listener, number)) }
                    let readers = listeners.filter { $0.onArrival == nil }
                    for reader in readers { reader.arrived.withLock { $0.append(number) } }
                    woken += readers
                    if listeners.isEmpty, state.uncover(number) { unheard.append(number) }
                }
            }
        }
        for listener in woken { listener.arrival.signal() }
        for (listener, number) in called { listener.onArrival?(number) }
        for number in unheard { kill(getpid(), number) }
    }

    /// Made once and kept: a handler may still be on its way when everybody has left.
    private func makePipe() throws(SignalSetupError) -> (exit: Int32, source: any DispatchSourceRead) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SignalSetupError(code: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        SignalHandler.write(to: ends[1])
        let source = DispatchSource.makeReadSource(fileDescriptor: ends[0])
        source.setEventHandler { self.deliver() }
        source.activate()
        return (ends[0], source)
    }
}

extension Dispositions.State {
    /// Takes a listener out, and restores what nobody else listens for.
    fileprivate mutating func drop(_ signals: UnixSignals) {
        listeners.removeAll { $0 === signals }
        for number in signals.numbers where !listeners.contains(where: { $0.numbers.contains(number) }) {
            guard var original = originals.removeValue(forKey: number) else { continue }
            var current = sigaction()
            sigaction(number, nil, &current)
            if current.isOurs { sigaction(number, &original, nil) } else { covered[number] = original }
        }
        chain(signals.numbers)
    }

    /// Whether a signal that nobody listens for may be raised again. Where our handler was covered and is not any more, the
    /// one from before is put back first.
    fileprivate mutating func uncover(_ number: Int32) -> Bool {
        guard var original = covered[number] else { return true }
        var current = sigaction()
        sigaction(number, nil, &current)
        guard current.isOurs else { return false }
        covered[number] = nil
        sigaction(number, &original, nil)
        return true
    }

    /// Has the handler call those from before, where somebody wants it.
    fileprivate func chain(_ numbers: Set<Int32>) {
        for number in numbers {
            let isWanted = listeners.contains { $0.isChaining && $0.numbers.contains(number) }
            SignalHandler.chain(isWanted ? originals[number] : nil, to: number)
        }
    }
}
