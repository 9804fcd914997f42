import InterruptCore
import Logging

/// One run of a Swift function in this process.
extension Worker {
    /// Runs the handler and returns how it ended; `nil` when it does not end and the worker itself goes without it.
    func runHandler(
        _ name: Name,
        input: String,
        _ order: RunOrder,
        _ scope: InterruptScope,
        _ receipts: Receipts<Transport>,
        lastCall: Wakeup,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) async -> RunEnding? {
        guard let entry = jobs[name] else {
            let text = """
                worker '\(configuration.description.name)' has no handler '\(name)': submit to a queue of a worker that \
                has it, or register it in the program that this worker is part of
                """
            return SpawnFailure(exitCode: 127, text: text).ending
        }
        let process = configuration.description.process
        receipts.spawned(process)
        report(.started(order, pid: process.pid))
        let execution = HandlerExecution(below: scope, threads: entry.threads)
        let defaultGracePeriod = gracePeriod
        return await scope.reacting { signal in
            let gracePeriod = signal.gracePeriod ?? order.gracePeriod ?? defaultGracePeriod
            execution.interrupt(signal.stage, gracePeriod: gracePeriod)
        } while: {
            execution.start(entry.run, input: input)
            return await attend(execution, order, receipts, lastCall, deliver)
        }
    }

    /// Serves the job until it has ended: what it says, what it is asked, and what to do when it does not hear.
    private func attend(
        _ execution: HandlerExecution,
        _ order: RunOrder,
        _ receipts: Receipts<Transport>,
        _ lastCall: Wakeup,
        _ deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) async -> RunEnding? {
        let scope = execution.scope
        let limit = configuration.giveUpAfter
        let exit = await withTaskGroup(of: Void.self, returning: HandlerOutcome.Exit?.self) { group in
            group.addTask { await self.writeProgress(of: scope, order, receipts) }
            group.addTask {
                var section: String?
                for await signal in scope.signals {
                    deliver(signal.ofJob, .local)
                    guard signal.stage >= .terminate else { continue }
                    let holdout = scope.holdout(askedFor: execution.askedFor)
                    if holdout.section != nil, holdout.section != section { self.tell(holdout, order, receipts) }
                    section = holdout.section
                }
            }
            group.addTask {
                await execution.force()
                try? await Task.sleep(for: limit, clock: .continuous)  // cancelled: it has ended
                if Task.isCancelled { return }
                self.tell(scope.holdout(askedFor: execution.askedFor), order, receipts)
                await lastCall.wait()
                if !Task.isCancelled { execution.giveUp() }
            }
            defer { group.cancelAll() }
            return await execution.ended()
        }
        guard let exit else {
            let text = "a job of this process does not end: its run stays on record until the process has ended"
            logger.error("\(text)", metadata: ["job": "\(order.job)", "run": "\(order.run)"])
            return nil
        }
        // What the job asked of itself at the very end.
        if let cause = scope.cause { deliver(cause.ofJob, .local) }
        return HandlerOutcome(
            exit: exit,
            hasTakenNotice: scope.hasSurfaced,
            wasInterruptAsked: scope.stage.shouldTerminateActiveTasks
        ).ending
    }

    private func tell(_ holdout: Holdout, _ order: RunOrder, _ receipts: Receipts<Transport>) {
        receipts.add(holdout)
        report(.holdsOut(order, holdout))
    }

    /// Writes what the job tells of its progress as the pace says, and what it has told last before its end. A job that
    /// tells nothing costs nothing.
    func writeProgress(of scope: InterruptScope, _ order: RunOrder, _ receipts: Receipts<Transport>) async {
        var pace = ProgressPace<ContinuousClock.Instant>()
        while !Task.isCancelled {
            switch pace.step(scope.progress, now: .now) {
            case .rest: await scope.progressed.wait()
            case .wait(let instant):
                try? await Task.sleep(until: instant, clock: .continuous)  // cancelled: it has ended
            case .write(let progress):
                do throws(TransportError) {
                    try await transport.publish(progress, of: order.run)
                    pace.wrote(progress, succeeded: true, now: .now)
                } catch {
                    pace.wrote(progress, succeeded: false, now: .now)
                    logger.debug("progress left out", metadata: ["run": "\(order.run)", "why": "\(error)"])
                }
            }
        }
        if let last = scope.progress, last != pace.written { receipts.add(last) }
    }
}

extension InterruptSignal {
    /// The signal as one from a job's scope: what was asked of the run is known by its id, and what arose in the job itself
    /// is no timeout of the run's.
    fileprivate var ofJob: InterruptSignal {
        var signal = self
        if signal.source == .timeout { signal.source = .local }
        return signal
    }
}
