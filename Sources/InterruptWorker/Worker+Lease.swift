import InterruptCore
import Logging
import Synchronization

/// A run that was claimed.
struct RunClaim {
    let offer: RunOffer
    /// The fence that stood when the claim was sent.
    let fence: BootTime?
}

/// The worker's signs of life, what it may run because of them, and what becomes of runs whose workers give none.
extension Worker {
    /// Sends heartbeats until the task is cancelled.
    func beat() async {
        while !Task.isCancelled {
            let asked = BootTime.now
            let wasHeard = await renewLease()
            let (next, isReplaced) = state.withLock {
                ($0.lease.nextHeartbeat(after: asked, wasHeard: wasHeard), $0.isReplaced)
            }
            if isReplaced { return }
            let pause = BootTime.now.duration(to: next)
            try? await Task.sleep(for: pause, clock: .continuous)  // cancelled: the loop ends
        }
    }

    /// Sends one heartbeat, and moves the fence of each leased run when it was heard. Returns whether it was.
    private func renewLease() async -> Bool {
        let asked = BootTime.now
        // Those that begin while the reply is on its way are not in it: it neither moves their fences nor ends them.
        let before = state.withLock { Set($0.live.keys) }
        do throws(TransportError) {
            let gone = try await transport.heartbeat(running: heldCount, live: before)
            let (fence, fences) = state.withLock { state in
                state.lease.renewed(at: asked)
                return (state.lease.fence, before.compactMap { state.live[$0]?.fence })
            }
            if let fence { for run in fences { run.move(to: fence) } }
            giveUp(gone)
            return true
        } catch .replaced {
            stopReplaced()
        } catch {
            logger.debug("heartbeat failed", metadata: ["why": "\(error)"])
        }
        return false
    }

    /// Ends runs that are not this worker's any more: they have an end on record, and maybe another run in their place.
    private func giveUp(_ runs: Set<RunID>) {
        let signal = InterruptSignal(
            stage: .kill,
            reason: .systemShutdown,
            message: "nobody had heard of worker '\(configuration.description.name)', so the run was given up",
            source: .local
        )
        for run in runs {
            guard let live = state.withLock({ $0.live[run] }) else { continue }
            logger.error("a run is not this worker's any more: it is ended", metadata: ["run": "\(run)"])
            live.deliver(signal)
        }
    }

    /// The fence of a leased run that is about to start; `nil` when another worker may have taken it over by now, or when it
    /// is interrupted before that is known.
    ///
    /// A claim is worth something until the fence that stood when it was sent. A heartbeat does not make it worth more: the
    /// run may have been taken over before, and only the first heartbeat after that is told. So it is claimed again. While
    /// nobody can be asked it waits for that, with its slot: nothing runs meanwhile.
    func makeFence(
        for claim: RunClaim,
        _ scope: InterruptScope,
        lastCall: Wakeup,
        deliver: (InterruptSignal, DeliveryWay) -> Void
    ) async -> RunFence? {
        var instant = claim.fence
        var pause = RetryPause()
        var hasSaid = false
        while !state.withLock({ $0.lease.lets(begin: .now, below: instant) }) {
            if scope.isInterrupted { return nil }
            if await renewLease() {
                let renewed = state.withLock { $0.lease.fence }
                switch await claimAgain(claim.offer) {
                case .started(_, let pending)?:
                    for signal in pending { deliver(signal, .start) }
                    instant = renewed
                case .gone?: return nil
                case nil: break
                }
            }
            if let instant, instant > .now { break }
            if !hasSaid {
                logger.warning("a leased run waits until Redis answers", metadata: ["run": "\(claim.offer.run)"])
            }
            hasSaid = true
            await pause.wait(orUntil: lastCall)
        }
        guard let instant else { return nil }
        let fence = RunFence(at: instant)
        state.withLock { $0.live[claim.offer.run]?.fence = fence }
        return fence
    }

    /// `nil` when that is not known.
    private func claimAgain(_ offer: RunOffer) async -> StartResult? {
        try? await transport.start(offer, gracePeriod: gracePeriod)
    }

    /// Looks how other workers are, takes over what may be taken over of the silent ones, and has offered what is to be tried
    /// again, until the task is cancelled.
    func watchOthers() async {
        let own = configuration.description
        var watch = SilenceWatch<SuspendingClock.Instant>(own: own.instance, lease: own.lease)
        while !Task.isCancelled {
            var pause = watch.interval
            let asked = SuspendingClock.now
            do throws(TransportError) {
                let survey = try await transport.survey()
                for silent in watch.observe(survey, askedAt: asked, answeredAt: .now) {
                    await takeOver(silent, seenOver: survey.connection)
                }
                pause = watch.interval
                // Not as fast as it can where a run's record says that it is due and it is not.
                if let due = survey.nextDue { pause = min(pause, max(due, .milliseconds(10))) }
            } catch {
                watch.missed()
                logger.debug("other workers are not seen", metadata: ["why": "\(error)"])
            }
            await retried.wait(until: .now + pause)
        }
    }

    /// What could not be taken over is found by the next survey; it keeps nobody from the runs of another silent worker.
    private func takeOver(_ silent: WorkerSign, seenOver connection: UInt64) async {
        do throws(TransportError) {
            for run in try await transport.takeOver(silent, seenOver: connection) {
                logger.warning(
                    "a run was taken over from a worker that is silent",
                    metadata: ["run": "\(run)", "worker": "\(silent.worker)"]
                )
            }
        } catch {
            let level: Logger.Level = if case .unavailable = error { .debug } else { .warning }
            logger.log(
                level: level,
                "a silent worker's runs could not be taken over",
                metadata: ["worker": "\(silent.worker)", "why": "\(error.description.escapedForDisplay())"]
            )
        }
    }
}
