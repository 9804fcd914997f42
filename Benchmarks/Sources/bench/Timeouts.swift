import InterruptCore

/// How late a scope's timeout fires.
enum Timeouts {
    static let count = 500

    static func run() async throws {
        var lateness = Sample()
        for number in 0..<count {
            let timeout = Duration.milliseconds(20 + number % 30)
            let due = ContinuousClock.now + timeout
            await withInterruptScope(timeout: timeout) { scope in
                for await _ in scope.signals { break }
            }
            let (seconds, attoseconds) = (ContinuousClock.now - due).components
            lateness.add(UInt64(max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)))
        }
        print(lateness.line("timeout after its due time"))
    }
}
