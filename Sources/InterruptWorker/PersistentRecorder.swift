import InterruptCore
import Logging

/// Repeats a write while the transport is out of reach.
struct PersistentRecorder: Sendable {
    /// What came of a write.
    enum Result {
        case written
        /// The transport refused it, and would again; this was said.
        case refused
        /// The transport stayed out of reach until there was no time left.
        case givenUp
    }

    let run: RunID
    let logger: Logger
    /// How loud it is said that something was given up: it is lost, or it waits elsewhere.
    var lossLevel = Logger.Level.error
    /// Whether an unreachable transport is not to be waited for any more.
    let isHurried: @Sendable () -> Bool

    /// Returns when `write` is done, was refused, or is not worth waiting for any more.
    ///
    /// - Parameter whenAway: called after each attempt that found the transport out of reach.
    @discardableResult
    func write(
        _ what: String,
        whenAway: () -> Void = {},
        _ write: () async throws(TransportError) -> Void
    ) async -> Result {
        var pause = RetryPause()
        while true {
            if let result = await attempt(what, write) { return result }
            whenAway()
            if isHurried() {
                logger.log(level: lossLevel, "\(what) is not recorded", metadata: ["run": "\(run)"])
                return .givenUp
            }
            await pause.wait(orUntil: nil)
        }
    }

    /// Tries once; `nil` when the transport is out of reach.
    func attempt(_ what: String, _ write: () async throws(TransportError) -> Void) async -> Result? {
        do throws(TransportError) {
            try await write()
            return .written
        } catch .unavailable(let why) {
            let metadata: Logger.Metadata = ["run": "\(run)", "why": "\(why.escapedForDisplay())"]
            logger.debug("\(what) cannot be recorded yet", metadata: metadata)
            return nil
        } catch {
            logger.error("\(what) was refused", metadata: ["run": "\(run)", "why": "\(error)"])
            return .refused
        }
    }
}
