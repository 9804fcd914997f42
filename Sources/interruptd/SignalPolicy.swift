import InterruptCore
import InterruptRedis
import InterruptWorker
import Logging
import UnixSignals

/// What Unix signals mean to the daemon. SIGINT goes up one stage a press; SIGTERM drains, then terminates what is left
/// so as to end within the grace period.
struct SignalPolicy {
    let worker: Worker<RedisTransport>
    let gracePeriod: Duration
    let logger: Logger

    /// Serves the signals until its task is cancelled.
    func apply(_ signals: UnixSignalsSequence) async {
        await withDiscardingTaskGroup { group in
            var presses = PressCounter<ContinuousClock.Instant>()
            var isShuttingDown = false
            for await signal in signals {
                switch signal {
                case .sigint:
                    guard let stage = presses.press(at: .now) else { continue }
                    worker.interrupt(stage, reason: .userCancelled, message: "Ctrl-C in the worker's terminal")
                case .sigterm where !isShuttingDown:
                    isShuttingDown = true
                    group.addTask { await self.shutDown() }
                case .sighup:
                    logger.info("SIGHUP: settings are read at the start only; restart to change them")
                default: continue
                }
            }
            group.cancelAll()
        }
    }

    /// Half of the grace period is for what ends by itself, the other half for what has to be asked.
    private func shutDown() async {
        let half = gracePeriod / 2
        worker.interrupt(.drain, reason: .systemShutdown, message: "the worker was sent SIGTERM")
        try? await Task.sleep(for: half, clock: .continuous)  // cancelled: everything has ended
        if Task.isCancelled { return }
        worker.interrupt(
            .terminate,
            reason: .systemShutdown,
            message: "the worker was sent SIGTERM",
            gracePeriod: half * 0.8
        )
    }
}
