/// Asks again and again until `condition` holds, for what has no event to wait for.
///
/// - `what`: completes the sentence "never happened: …".
/// - `pause`: between two questions. 5 ms; longer where asking is itself work.
/// - `limit`: how long to ask. 45 s: far beyond what anything takes on a busy machine, and within the time limit of a test.
/// - Throws: ``NeverHappened`` when the limit has passed, and what `condition` throws.
public func eventually(
    _ what: String,
    every pause: Duration = .milliseconds(5),
    within limit: Duration = .seconds(45),
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(what: what) }
        try await Task.sleep(for: pause)  // what other processes do wakes nobody here
    }
}

/// What a test has waited for in vain.
public struct NeverHappened: Error, CustomStringConvertible {
    let what: String

    /// One sentence.
    public var description: String { "never happened: \(what)" }
}
