import Logging
import Synchronization

/// Says that there is no connection, at most once a second for all connections that share it.
final class ConnectionLog: Sendable {
    let logger: Logger
    private let throttle = Mutex(LogThrottle<ContinuousClock.Instant>(interval: .seconds(1)))

    init(_ logger: Logger?) { self.logger = logger ?? .silent }

    func failed(_ endpoint: RedisEndpoint, _ cause: RedisError) {
        // What this program closed itself is no trouble.
        if cause.code == .cancelled || cause.code == .closed { return }
        guard let suppressed = throttle.withLock({ $0.line(at: .now) }) else { return }
        let more = suppressed == 0 ? "" : " (and \(suppressed) times more since the last such line)"
        // Most causes name the server themselves.
        let place = cause.message.contains("\(endpoint)") ? "" : " at \(endpoint)"
        logger.warning("no connection to Redis\(place): \(cause.message)\(more)")
    }
}

extension Logger {
    /// A library is silent unless it is given a logger.
    static var silent: Logger { Logger(label: "redis") { _ in SwiftLogNoOpLogHandler() } }
}
