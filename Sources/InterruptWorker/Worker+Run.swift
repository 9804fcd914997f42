import InterruptCore
import Logging
import Synchronization

/// One run, from its claim to its recorded end.
extension Worker {
    /// - Parameter claim: how it became this worker's.
    func execute(_ order: RunOrder, pending: [InterruptSignal], _ claim: RunClaim) async {
        let receipts = Receipts(
            order: order,
            instance: configuration.description.instance,
            transport: transport,
            logger: logger,
            outbox: outbox,
            lastCall: lastCall,
            isHurried: isHurried
        )
        async let isWritten: Void = receipts.write()
        receipts.finish(await execute(order, pending: pending, receipts, claim))
        await isWritten
        if order.retries > 0 { retried.signal() }
    }

    private func execute(
        _ order: RunOrder,
        pending: [InterruptSignal],
        _ receipts: Receipts<Transport>,
        _ claim: RunClaim
    ) async -> RunEnding? {
        await withDetachedInterruptScope(
            run: order.run,
            timeout: order.timeout,
            strategies: configuration.strategies(order)
        ) { scope in
            let report = report
            let deliver: @Sendable (InterruptSignal, DeliveryWay) -> Void = { signal, way in
                scope.receive(signal) { reception in
                    guard reception != .known else { return }
                    receipts.add(signal, way)
                    if reception != .late { report(.interrupted(order, signal, way)) }
                }
            }
            for signal in pending { deliver(signal, .start) }
            let lastCall = Wakeup()
            let deliverOwn: @Sendable (InterruptSignal) -> Void = { signal in
                deliver(signal, .local)
                if signal.stage == .kill { lastCall.signal() }
            }
            let own = state.withLock { state in
                state.live[order.run] = LiveRun(interrupt: deliverOwn, deliver: { deliver($0, .local) })
                return state.own
            }
            // A drain of the worker itself does not mean what it has claimed already.
            if let own, own.stage > .drain { deliverOwn(own) }
            let pause = pauseSwitch(of: order, scope, receipts)
            transport.watch(order, pausing: pause.map { $0.set }, deliver: deliver)
            let signals = scope.signals
            let ending = await withTaskGroup(of: Void.self, returning: RunEnding?.self) { group in
                group.addTask {
                    for await signal in signals where order.arises(signal) {
                        receipts.add(signal, .local)
                        report(.interrupted(order, signal, .local))
                    }
                }
                group.addTask { await self.reportDraining(order, scope) }
                let ending = await perform(
                    order,
                    scope,
                    receipts,
                    pause,
                    claim,
                    lastCall: lastCall,
                    deliver: deliver
                )
                transport.unwatch(order.run)
                state.withLock { $0.live[order.run] = nil }
                // The run may have ended while what ended it is still being taken in: the receipt comes before the end.
                _ = scope.cause
                group.cancelAll()  // what has arrived is still read
                return ending
            }
            // The stream does not carry a timeout or a limit that came after another cause.
            for signal in scope.late where order.arises(signal) { receipts.add(signal, .local) }
            if let ending { report(.ended(order, ending, cause: scope.cause)) }
            return ending
        }
    }

    /// What pauses the run; `nil` for a function of this process, which cannot be paused.
    private func pauseSwitch(
        of order: RunOrder,
        _ scope: InterruptScope,
        _ receipts: Receipts<Transport>
    ) -> PauseSwitch? {
        if case .handler = order.work { return nil }
        let report = report
        return PauseSwitch { isPaused in
            if !order.chargesPausedTime { isPaused ? scope.suspendTimeout() : scope.resumeTimeout() }
            receipts.add(isPaused: isPaused)
            report(.paused(order, isPaused: isPaused))
        }
    }

    /// Reports a run that takes no notice of stage 1. A harder stage ends it anyway.
    private func reportDraining(_ order: RunOrder, _ scope: InterruptScope) async {
        guard await scope.signals.first(where: { _ in true })?.stage == .drain else { return }
        let limit = configuration.drainWarning
        try? await Task.sleep(for: limit, clock: .continuous)  // cancelled: the run has ended
        if !Task.isCancelled, scope.stage == .drain { report(.draining(order, for: limit)) }
    }

    private func perform(
        _ order: RunOrder,
        _ scope: InterruptScope,
        _ receipts: Receipts<Transport>,
        _ pause: PauseSwitch?,
        _ claim: RunClaim,
        lastCall: Wakeup,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) async -> RunEnding? {
        // What was asked before the start means that it does not start, whatever the stage.
        if scope.isInterrupted { return RunEnding(state: .interrupted) }
        var order = order
        switch configuration.admission(order) {
        case .asItIs: break
        case .run(let admitted):
            (order.work, order.directory, order.environment) = (admitted.work, admitted.directory, admitted.environment)
            order.hooks = admitted.hooks
        case .refused(let why): return RunEnding(state: .failed, error: why)
        }
        switch order.work {
        case .command:
            var fence: RunFence?
            if order.isLeased {
                fence = await makeFence(for: claim, scope, lastCall: lastCall, deliver: deliver)
                if scope.isInterrupted { return RunEnding(state: .interrupted) }
                if fence == nil { return .fenced }
            }
            return await spawn(order, scope, receipts, pause ?? PauseSwitch(), fence, lastCall: lastCall)
        case .handler(let name, let input):
            return await runHandler(
                name,
                input: input,
                order,
                scope,
                receipts,
                lastCall: lastCall,
                deliver: deliver
            )
        }
    }

    private func spawn(
        _ order: RunOrder,
        _ scope: InterruptScope,
        _ receipts: Receipts<Transport>,
        _ pause: PauseSwitch,
        _ fence: RunFence?,
        lastCall: Wakeup
    ) async -> RunEnding? {
        guard let runner else {
            let text =
                "worker '\(configuration.description.name)' runs no commands, only handlers: submit with --handler"
            return SpawnFailure(exitCode: 126, text: text).ending
        }
        let transport = transport
        let report = report
        let logger = logger
        async let _: Void = writeProgress(of: scope, order, receipts)
        return await runner.run(order, scope: scope, pause: pause, fence: fence) { pid in
            // First, so that whoever hears of the start can be sure that it is going on record.
            if let process = ProcessIdentity(pid: pid) { receipts.spawned(process) }
            report(.started(order, pid: pid))
        } stuck: { holdout in
            receipts.add(holdout)
            report(.holdsOut(order, holdout))
            // The slot is not free before the run's processes are gone. Only a worker that is to end now goes without.
            await lastCall.wait()
        } told: { note in
            receipts.add(note)
            report(.told(order, note))
        } output: { chunks in
            do throws(TransportError) {
                try await transport.append(chunks, of: order.run)
            } catch {
                logger.debug("output left out", metadata: ["run": "\(order.run)", "why": "\(error)"])
            }
        }
    }
}

extension RunOrder {
    /// Whether the signal arose in the run's own scope, so that nobody has delivered it. The limits of a function are those
    /// of a scope below.
    fileprivate func arises(_ signal: InterruptSignal) -> Bool {
        switch signal.source {
        case .timeout: true
        case .limit: if case .command = work { true } else { false }
        case .local, .unixSignal, .checker, .remote, .flag, .message: false
        }
    }
}
