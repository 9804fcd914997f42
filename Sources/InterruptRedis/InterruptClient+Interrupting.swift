public import InterruptCore
import InterruptJSON

/// What became of an interrupt for one run.
public struct InterruptReceipt: Hashable, Sendable {
    /// What the record says now.
    public enum Outcome: String, Sendable {
        /// It is the first request on record.
        case accepted
        /// A softer one was on record: the stage rises.
        case escalated
        /// One at least as hard was on record.
        case already
        /// This very request was on record; with a state that is an end, the run has ended since.
        case known
        /// The run was queued and has ended.
        case stopped
        /// The run had ended before.
        case ended
        /// There is no such run.
        case missing
        /// The job has a newer run than the expected one: nothing was recorded.
        case replaced
    }

    /// What the record says now.
    public var outcome: Outcome
    /// The run; `nil` when there is none.
    public var run: RunID?
    /// The job, as it was named when there is no run.
    public var job: String
    /// The run's state now.
    public var state: RunState?
    /// The interrupt in force.
    public var signal: InterruptSignal?

    init?(reply: RESPValue) {
        guard let values = reply.array, values.count == 5, let outcome = values[0].text.flatMap(Outcome.init) else {
            return nil
        }
        self.outcome = outcome
        run = values[1].text.flatMap { $0.isEmpty ? nil : RunID(rawValue: $0) }
        job = values[2].text ?? ""
        state = values[3].text.flatMap(RunState.init)
        signal = values[4].bytes.flatMap { bytes in
            bytes.isEmpty ? nil : try? SignalMessage(json: bytes).signal(source: .remote, newID: .random())
        }  // a record that cannot be read is shown as none
    }
}

/// One job or one run of it.
public enum RunReference: Hashable, Sendable {
    /// The newest run of a job.
    case job(Name)
    /// This run.
    case run(RunID)

    var arguments: [RedisArgument] {
        switch self {
        case .job(let job): ["job", .init(job.description)]
        case .run(let run): ["run", .init(run.rawValue)]
        }
    }
}

extension InterruptClient {
    /// How many runs one script touches at most.
    static let runsPerScript = 100

    /// Records an interrupt for each run and tells their workers. Returns when all are recorded: a receipt each, in
    /// order. Idempotent by the signal's id, so that an unknown outcome is resolved by asking again.
    ///
    /// - `expected`: with it, a job whose newest run is another one is not touched.
    public func interrupt(
        _ references: [RunReference],
        _ signal: InterruptSignal,
        expected: RunID? = nil
    ) async throws(RedisError) -> [InterruptReceipt] {
        var receipts: [InterruptReceipt] = []
        for start in stride(from: 0, to: references.count, by: Self.runsPerScript) {
            let chunk = references[start..<min(start + Self.runsPerScript, references.count)]
            do throws(RedisError) {
                receipts += try await record(signal, for: chunk, expected: expected)
            } catch {
                throw error.after(partIsDone: receipts.contains(where: \.isRecorded))
            }
        }
        return receipts
    }

    /// One call of the script.
    private func record(
        _ signal: InterruptSignal,
        for references: ArraySlice<RunReference>,
        expected: RunID?
    ) async throws(RedisError) -> [InterruptReceipt] {
        let runs = try await runsToSign(references)
        let signed = signedArguments(references, runs) { signal.signed(for: $0, namespace: keys.namespace, with: $1) }
        let arguments = signal.arguments + [.init(expected?.rawValue ?? "")] + signed
        let reply = try await evaluate(RedisScripts.interrupt, arguments, repliesLast: true)
        if Failpoint.request.reached() { throw RedisError(.connectionLost, "failpoint", isOutcomeUnknown: true) }
        let receipts = (reply.array ?? []).compactMap(InterruptReceipt.init)
        guard receipts.count == references.count else { throw unexpected(reply, from: "interrupt") }
        let moved = zip(runs, receipts).compactMap { $1.isRecorded ? $0.movedTo($1.run) : nil }
        if moved.isEmpty { return receipts }
        do throws(RedisError) {
            _ = try await record(signal, for: moved.map(RunReference.run)[...], expected: nil)
            return receipts
        } catch {
            throw error.after(partIsDone: true)
        }
    }

    /// Interrupts what a target stands for: its gate first, then its members.
    ///
    /// The gate of a drain stays closed until it is opened; that of a harder stage lasts while members are being listed,
    /// or on a group until its last live run has ended and a little more.
    ///
    /// - `only`: with it, of a target of many exactly those members are meant that are among these runs. Nothing
    ///   can slip through then, so only a drain, which is about what comes, closes a gate.
    public func interrupt(
        _ target: InterruptTarget,
        _ signal: InterruptSignal,
        only confirmed: Set<RunID>? = nil
    ) async throws(RedisError) -> [InterruptReceipt] {
        var members: [RunID] = []
        return try await interrupt(target, signal, only: confirmed, members: &members)
    }

    /// Interrupts what a target stands for, as ``interrupt(_:_:only:)``, and says whom it has asked even when it throws:
    /// repeated after an unknown outcome, it asks those as well that are gone from the target since, by its own doing.
    ///
    /// - `members`: who was asked in an earlier attempt; all that are asked now.
    public func interrupt(
        _ target: InterruptTarget,
        _ signal: InterruptSignal,
        only confirmed: Set<RunID>? = nil,
        members: inout [RunID]
    ) async throws(RedisError) -> [InterruptReceipt] {
        if case .job(let job) = target { return try await interrupt([.job(job)], signal) }
        var live = try await liveRuns(of: target)
        if live.isEmpty, members.isEmpty, signal.stage > .drain {
            // That nobody is there counts only where a request could be recorded: a replica's list may be old.
            _ = try await record(signal, for: [], expected: nil)
            return []
        }
        let closesGate = confirmed == nil || signal.stage == .drain
        if closesGate { try await closeGate(target, signal) }
        do throws(RedisError) {
            // What was submitted before the gate closed is on the list now; what comes after does not start.
            if closesGate { live = try await liveRuns(of: target) }
            if let confirmed { live = live.filter(confirmed.contains) }
            let known = Set(members)
            members += live.filter { !known.contains($0) }
            let receipts = try await interrupt(members.map(RunReference.run), signal)
            if closesGate, signal.stage > .drain, !target.isGroup {
                try await openGate(target, closedBy: signal.id, by: nil)
            }
            return receipts.filter { $0.outcome != .ended && $0.outcome != .missing }
        } catch {
            throw error.after(partIsDone: closesGate)
        }
    }

    /// The live runs that a target stands for now.
    public func liveRuns(of target: InterruptTarget) async throws(RedisError) -> [RunID] {
        switch target {
        case .job(let job):
            let run = try await commands.send(RedisCommand("HGET", .init(keys.job(job)), "run"))
            return run.text.map { [RunID(rawValue: $0)] } ?? []
        case .group(let group): return try await runs(RedisCommand("SMEMBERS", .init(keys.group(group))))
        case .worker(let worker): return try await runs(RedisCommand("SMEMBERS", .init(keys.holds(worker))))
        case .all: return try await runs(RedisCommand("ZRANGE", .init(keys.live), "0", "-1"))
        case .queue(let queue):
            let live = try await liveRuns(of: .all)
            let queues = try await commands.replies(
                to: live.map { RedisCommand("HGET", .init(keys.run($0)), "queue") }
            )
            return zip(live, queues).filter { $0.1.text == queue.description }.map(\.0)
        }
    }

    private func runs(_ command: RedisCommand) async throws(RedisError) -> [RunID] {
        try await commands.send(command).array?.compactMap(\.text).map(RunID.init) ?? []
    }

    /// Closes a gate again that the server may have lost, as ``interrupt(_:_:only:)`` closed it. A gate that is there, or
    /// that somebody has opened meanwhile, is left alone, and so is one that was to stand only while members were listed.
    ///
    /// - `ago`: how long ago it was closed.
    public func closeGateAgain(
        _ target: InterruptTarget,
        _ signal: InterruptSignal,
        ago: Duration
    ) async throws(RedisError) {
        if target.isGroup || signal.stage == .drain { try await closeGate(target, signal, again: ago) }
    }

    /// - Parameter ago: how long ago it was closed, when it was.
    private func closeGate(
        _ target: InterruptTarget,
        _ signal: InterruptSignal,
        again ago: Duration? = nil
    ) async throws(RedisError) {
        let duration =
            switch (signal.stage, target) {
            case (.drain, _): "open"
            case (_, .group): "empty"
            default: "10000"
            }
        let reply = try await evaluate(
            RedisScripts.closeGate,
            signal.arguments
                + [.init(target.description), .init(duration), .init(ago.map { "\($0.milliseconds)" } ?? "")]
        )
        guard reply.text == "OK" else { throw unexpected(reply, from: "gate") }
    }

    /// Opens a gate; answers whether one was closed.
    ///
    /// - `closedBy`: opens it only if this request closed it.
    @discardableResult
    public func openGate(
        _ target: InterruptTarget,
        closedBy id: RequestID? = nil,
        by who: String?
    ) async throws(RedisError) -> Bool {
        let reply = try await evaluate(
            RedisScripts.openGate,
            [.init(target.description), .init(id?.rawValue ?? ""), .init(who ?? "")]
        )
        return reply.integer == 1
    }

    // MARK: Flags

    /// Takes what a job's flag says into the record; returns what it says to the run, if anything, and whether the flag has its
    /// value no more. Of several signals, which only a worker with a key finds in a flag, the first one goes on record here,
    /// the others with their receipt.
    func importFlag(
        _ signals: [InterruptSignal],
        run: RunID,
        job: Name,
        value: [UInt8]
    ) async throws(RedisError) -> (says: InterruptSignal?, isGone: Bool) {
        guard let signal = signals.first else { return (nil, false) }
        let reply = try await evaluate(
            RedisScripts.importFlag,
            signal.arguments + [.init(run.rawValue), .init(job.description), .init(value)]
        )
        guard let parts = reply.array, parts.count == 2, let outcome = parts[0].text, let record = parts[1].bytes else {
            return (nil, false)
        }
        if outcome == "missing" { return (signal, true) }
        // Written by the script itself; none where the flag had changed or the run has ended.
        let recorded = try? SignalMessage(json: record).signal(source: .flag, newID: .random())
        return (recorded, !["ended", "known"].contains(outcome))
    }

    /// Turns a flag on many into a request for its members. Whoever sees the flag does this; the request id that the
    /// first one writes into it makes all of them do the same thing once. Nothing happens where the flag has its value no
    /// more.
    ///
    /// - Parameter onRecord: called with the request and the members that have it on record, before the flag is deleted.
    func importWideFlag(
        _ signal: InterruptSignal,
        target: InterruptTarget,
        value: [UInt8],
        onRecord: (InterruptSignal, Set<RunID>) -> Void = { _, _ in }
    ) async throws(RedisError) {
        var signal = signal
        signal.target = target
        let adopted = SignalMessage(flag: signal).json
        // Also where it has its id: who was slow must not repeat it when it is dealt with and gone.
        let reply = try await evaluate(
            RedisScripts.adoptFlag,
            [.init(target.description), .init(value), .init(adopted)]
        )
        guard reply.integer == 1 else { return }
        onRecord(signal, Set(try await interrupt(target, signal).compactMap(\.run)))
        _ = try await evaluate(RedisScripts.dropFlag, [.init(target.description), .init(adopted)])
    }
}

extension InterruptTarget {
    fileprivate var isGroup: Bool {
        if case .group = self { return true }
        return false
    }
}

extension InterruptSignal {
    /// The nine arguments that `read_signal` in the scripts reads.
    var arguments: [RedisArgument] {
        [
            .init(id.rawValue), .init(target?.description ?? ""), .init(stage.rawValue),
            .init(wireReason), .init(wireMessage), .init(wireTriggeredBy),
            .init(savesCheckpoint ? "1" : "0"),
            .init(gracePeriod.map { "\($0.milliseconds)" } ?? ""), .init(source.rawValue),
        ]
    }

    // As long as they go on record at most.
    var wireReason: String { reason.rawValue.clipped(toBytes: 256) }
    var wireMessage: String { (message ?? "").clipped(toBytes: 4_096) }
    var wireTriggeredBy: String { (triggeredBy ?? "").clipped(toBytes: 256) }
}
