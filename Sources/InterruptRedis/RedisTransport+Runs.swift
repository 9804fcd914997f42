public import InterruptCore
import Synchronization

/// What a worker hears of a run that it has, and what it puts on record.
extension RedisTransport {
    /// Delivers each interrupt for the run, and each change of whether it is to be paused, from any thread.
    public func watch(
        _ order: RunOrder,
        pausing: (@Sendable (_ isToBePaused: Bool) -> Void)?,
        deliver: @escaping @Sendable (InterruptSignal, DeliveryWay) -> Void
    ) {
        checker.watch(order, pausing: pausing, deliver: deliver)
    }

    /// Ends the deliveries of a run.
    public func unwatch(_ run: RunID) {
        checker.unwatch(run)
    }

    /// Writes the worker's receipt for an interrupt, and puts the interrupt on record if nobody has.
    public func acknowledge(
        _ signal: InterruptSignal,
        way: DeliveryWay,
        for run: RunID
    ) async throws(TransportError) {
        if Failpoint.acknowledge.reached() { throw .unavailable("failpoint") }
        if try await acknowledge(signal, way: way, for: run, by: instance) == "replaced" { throw .replaced }
    }

    func acknowledge(
        _ signal: InterruptSignal,
        way: DeliveryWay,
        for run: RunID,
        by instance: String,
        before: Duration = .zero
    ) async throws(TransportError) -> String? {
        checker.board.note(signal.id, for: run)
        let more: [RedisArgument] = [
            .init(run.rawValue), .init(instance), .init(way.rawValue), .init(before.milliseconds),
        ]
        return try await report(RedisScripts.acknowledge, signal.arguments + more, by: instance)
    }

    /// Records that the run is paused now, or goes on.
    public func record(isPaused: Bool, of run: RunID) async throws(TransportError) {
        held.paused(run, isPaused)
        _ = try await report(RedisScripts.paused, of: run, [isPaused ? "1" : "0"])
    }

    /// Records the leader's process, which has its environment now: nobody needs to read it any more.
    public func spawned(_ run: RunID, process: ProcessIdentity) async throws(TransportError) {
        held.spawned(run, process)
        let fields: [RedisArgument] = [.init(process.pid), .init(process.start), .init(process.boot)]
        _ = try await report(RedisScripts.spawned, of: run, fields)
    }

    /// Records how far the run is, to the hundredth of a percent.
    public func publish(_ progress: WorkProgress, of run: RunID) async throws(TransportError) {
        let fields: [RedisArgument] = [.init(progress.wireText), .init(progress.message ?? "")]
        _ = try await report(RedisScripts.progress, of: run, fields)
    }

    /// Records why the run goes on.
    public func publish(_ holdout: Holdout, of run: RunID) async throws(TransportError) {
        let fields: [RedisArgument] = [
            .init(holdout.section ?? ""), .init(holdout.lastCheckpoint ?? ""), .init(holdout.elapsed.milliseconds),
            .init(holdout.survivors ?? ""),
        ]
        _ = try await report(RedisScripts.holdout, of: run, fields)
    }

    /// Records what the run tells of itself.
    public func publish(_ note: RunNote, of run: RunID) async throws(TransportError) {
        let (kind, value): (String, RedisArgument) =
            switch note {
            case .checkpoint(let text): ("checkpoint", .init(text))
            case .moreTime(let length): ("more_time", .init(length.milliseconds))
            }
        _ = try await report(RedisScripts.note, of: run, [.init(kind), value])
    }

    /// Adds to the bounded tail of a run's output: the last 16 MiB.
    public func append(_ output: [OutputChunk], of run: RunID) async throws(TransportError) {
        let pieces = outputs.withLock { outputs in
            output.flatMap { chunk -> [RedisArgument] in
                let place = outputs[run, default: OutputBound()].place(of: chunk)
                return [
                    .init("\(place.id)-0"), .init(place.lowest), .init(chunk.stream.rawValue), .init(chunk.offset),
                    .init(chunk.bytes),
                ]
            }
        }
        let reply = try await report(RedisScripts.append, of: run, pieces)
        if reply == "ended" { outputs.withLock { $0[run] = nil } }
    }

    /// Records how the run ended.
    public func end(_ run: RunID, as ending: RunEnding) async throws(TransportError) {
        if Failpoint.record.reached() { throw .unavailable("failpoint") }
        outputs.withLock { $0[run] = nil }
        if try await end(run, as: ending, by: instance) == "replaced" { throw .replaced }
    }

    func end(
        _ run: RunID,
        as ending: RunEnding,
        by instance: String,
        before: Duration = .zero
    ) async throws(TransportError) -> String? {
        let endedAt = ContinuousClock.now - before
        let outcome = Self.outcome(of: run, ending, by: instance, before: before)
        let reply = try await report(RedisScripts.end, outcome + Self.nextRun(), by: instance)
        if reply == "replaced" { held.gone(run) } else { held.ended(run, as: ending, at: endedAt) }
        return reply
    }

    /// Tells of a run that this instance has.
    private func report(
        _ script: RedisScript,
        of run: RunID,
        _ fields: [RedisArgument]
    ) async throws(TransportError) -> String? {
        let reply = try await report(script, [.init(run.rawValue), .init(instance)] + fields, by: instance)
        if reply == "replaced" { throw .replaced }
        return reply
    }

    /// Tells of a run that an instance of this worker has or had.
    private func report(
        _ script: RedisScript,
        _ arguments: [RedisArgument],
        by instance: String
    ) async throws(TransportError) -> String? {
        let wasUncompared = held.isUncompared
        let reply = try await evaluate(script, arguments).text
        // It may take the run for queued still. Once the runs here are compared, it is known whose it is.
        if reply == "replaced", instance == self.instance, wasUncompared || held.isUncompared { throw .notCompared }
        return reply
    }

    /// The arguments of the script that records an end, without a next run.
    static func outcome(
        of run: RunID,
        _ ending: RunEnding,
        by instance: String,
        before: Duration
    ) -> [RedisArgument] {
        [
            .init(run.rawValue), .init(instance), .init(ending.state.rawValue),
            .init(ending.exitCode.map { "\($0)" } ?? ""), .init(ending.termSignal.map { "\($0)" } ?? ""),
            .init(ending.dumpedCore ? "1" : ""), .init(ending.isLateInterrupt ? "1" : ""), .init(ending.error ?? ""),
            .init(retention.components.seconds),
            .init(ending.memoryKills > 0 ? "\(ending.memoryKills)" : ""),
            .init(ending.output.map { "\($0.byteCount)" } ?? ""), .init(ending.output?.file ?? ""),
            .init(ending.output?.lastLine ?? ""), .init(ending.output.map { "\($0.keptFrom)" } ?? ""),
            .init(ending.hookErrors.joined(separator: "; ")), .init(before.milliseconds),
        ]
    }
}

extension TransportError {
    /// The server may take a run for queued that this worker has started, or has ended.
    static let notCompared = TransportError.unavailable("the runs here are not compared with Redis yet")
}
