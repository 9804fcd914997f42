import InterruptCore
import Logging
import Synchronization

/// Says that there is no connection, at most once a second for all connections that share it, and then when all are back.
final class ConnectionLog: Sendable {
    private struct State {
        var throttle = LogThrottle<ContinuousClock.Instant>(interval: .seconds(1))
        var lost = 0
        /// When the first of those that are lost was lost.
        var since = ContinuousClock.now
        /// Whether a line has said that there is none.
        var isSaid = false
        var outages = 0
    }

    let logger: Logger
    private let state = Mutex(State())

    init(_ logger: Logger?) { self.logger = logger ?? .silent }

    /// How often the first of the connections was lost; what is lost before all are back counts to the same outage.
    var outageCount: Int { state.withLock { $0.outages } }

    /// - Parameter isFirst: whether the connection was there until now, or never; otherwise this is one more attempt.
    func failed(_ endpoint: RedisEndpoint, _ cause: RedisError, isFirst: Bool) {
        let suppressed = state.withLock { state -> Int? in
            // What this program closed itself is no trouble.
            let isTrouble = cause.code != .cancelled && cause.code != .closed
            if isFirst {
                if state.lost == 0 {
                    state.since = .now
                    if isTrouble { state.outages += 1 }
                }
                state.lost += 1
            }
            guard isTrouble else { return nil }
            guard let suppressed = state.throttle.line(at: .now) else { return nil }
            state.isSaid = true
            return suppressed
        }
        guard let suppressed else { return }
        let times = suppressed == 1 ? "once" : "\(suppressed) times"
        let more = suppressed == 0 ? "" : " (and \(times) more since the last such line)"
        // Most causes name the server themselves.
        let place = cause.message.contains("\(endpoint)") ? "" : " at \(endpoint)"
        logger.warning("no connection to Redis\(place): \(cause.message)\(more)")
    }

    /// One that has failed is there.
    func connected() {
        let since = state.withLock { state -> ContinuousClock.Instant? in
            state.lost -= 1
            guard state.lost == 0, state.isSaid else { return nil }
            state.isSaid = false
            return state.since
        }
        guard let since else { return }
        logger.info("connected to Redis after \(since.duration(to: .now).displayText)")
    }
}

extension Logger {
    /// A library is silent unless it is given a logger.
    static var silent: Logger { Logger(label: "redis") { _ in SwiftLogNoOpLogHandler() } }
}
