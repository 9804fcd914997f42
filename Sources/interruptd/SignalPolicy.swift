import Glibc
import InterruptCore
import InterruptRedis
import InterruptWorker
import Logging

/// What Unix signals mean to the daemon. SIGINT goes up one stage a press; SIGTERM drains, then terminates what is left
/// so as to end within the grace period; SIGHUP reads the settings again.
struct SignalPolicy {
    let worker: Worker<RedisTransport>
    let settings: CurrentSettings
    let logger: Logger
    /// Says what stays in the queue; asked once, when the worker begins to drain.
    let reportWaiting: @Sendable () async -> Void

    /// Serves the signals until its task is cancelled.
    func apply(_ signals: UnixSignals) async {
        await withDiscardingTaskGroup { group in
            var presses = PressCounter<ContinuousClock.Instant>()
            var isShuttingDown = false
            for await signal in signals {
                switch signal {
                case SIGINT:
                    guard let stage = presses.press(at: .now) else { continue }
                    worker.interrupt(
                        stage,
                        reason: .userCancelled,
                        message: "Ctrl-C in the worker's terminal",
                        triggeredBy: "SIGINT"
                    )
                    if stage == .drain { group.addTask { await self.reportWaiting() } }
                case SIGTERM where !isShuttingDown:
                    isShuttingDown = true
                    group.addTask { await self.shutDown() }
                case SIGHUP: reload()
                default: continue
                }
            }
            group.cancelAll()
        }
    }

    private func reload() {
        do throws(InvalidSetting) {
            let change = try settings.reload()
            worker.setGracePeriod(settings.gracePeriod)
            logger.notice("\(change.description)")
        } catch {
            logger.error("the settings stay as they are", metadata: ["why": "\(error)"])
        }
    }

    /// Half of the grace period is for what ends by itself, most of the other half for what has to be asked. What is
    /// left at its end is forced, and nothing is waited for any more.
    private func shutDown() async {
        let message = "the worker was sent SIGTERM"
        let gracePeriod = settings.gracePeriod
        let end = ContinuousClock.now + gracePeriod
        let half = gracePeriod / 2
        worker.interrupt(.drain, reason: .systemShutdown, message: message, triggeredBy: "SIGTERM")
        guard await isStillWorking(at: end - half) else { return }
        worker.interrupt(
            .terminate,
            reason: .systemShutdown,
            message: message,
            triggeredBy: "SIGTERM",
            gracePeriod: half * 0.8
        )
        guard await isStillWorking(at: end) else { return }
        worker.interrupt(.kill, reason: .systemShutdown, message: message, triggeredBy: "SIGTERM")
    }

    /// Waits until `instant`; `false` when everything has ended before.
    private func isStillWorking(at instant: ContinuousClock.Instant) async -> Bool {
        try? await Task.sleep(until: instant, clock: .continuous)  // cancelled: everything has ended
        return !Task.isCancelled
    }
}
