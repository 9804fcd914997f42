public import InterruptCore

/// What asking a run to pause, or to go on, came to.
public struct PauseReceipt: Hashable, Sendable {
    /// What is on record now.
    public var outcome: PauseOutcome
    /// The run; `nil` when there is none.
    public var run: RunID?
    /// The job, as it was named when there is no run.
    public var job: String
    /// The run's state when it was asked.
    public var state: RunState?

    init?(reply: RESPValue) {
        guard let values = reply.array, values.count == 4, let outcome = values[0].text.flatMap(PauseOutcome.init)
        else {
            return nil
        }
        self.outcome = outcome
        run = values[1].text.flatMap { $0.isEmpty ? nil : RunID(rawValue: $0) }
        job = values[2].text ?? ""
        state = values[3].text.flatMap(RunState.init)
    }
}

/// That something is to be paused, or to go on.
public struct PauseRequest: Hashable, Sendable {
    /// Which of the two.
    public enum Action: String, Sendable {
        /// It is to be paused.
        case pause
        /// It is to go on.
        case resume
    }

    /// Which of the two.
    public var action: Action
    /// Tells this request from all others.
    public var id: RequestID
    /// Who asks.
    public var triggeredBy: String?

    /// A request from its parts.
    public init(_ action: Action, id: RequestID = .random(), triggeredBy: String? = nil) {
        self.action = action
        self.id = id
        self.triggeredBy = triggeredBy
    }
}

/// What asking what a target stands for to pause, or to go on, came to.
public struct GroupPause: Hashable, Sendable {
    /// Whether its gate was not as it was asked before.
    public var hasGateChanged: Bool
    /// The receipts of those that run. What is queued stays queued as long as the gate is closed.
    public var members: [PauseReceipt]
}

extension InterruptClient {
    /// Pauses what a target of many stands for, or lets it go on: its gate first, then those of its members that run.
    ///
    /// As long as the gate is closed nothing starts under it; submissions are taken. Letting it go on opens the gate of a
    /// drain, too.
    ///
    /// - `only`: with it, exactly those members are meant that are among these runs.
    public func ask(
        _ request: PauseRequest,
        of target: InterruptTarget,
        only confirmed: Set<RunID>? = nil
    ) async throws(RedisError) -> GroupPause {
        let reply = try await evaluate(
            RedisScripts.hold,
            [
                .init(request.action.rawValue), .init(target.description), .init(request.id.rawValue),
                .init((request.triggeredBy ?? "").clipped(toBytes: 256)),
            ]
        )
        var hasGateChanged = reply.integer == 1
        let receipts: [PauseReceipt]
        do throws(RedisError) {
            if request.action == .resume, try await openGate(target, by: request.triggeredBy) { hasGateChanged = true }
            // What was queued before the gate closed and has started since is on the list now.
            var members = try await liveRuns(of: target)
            if let confirmed { members = members.filter(confirmed.contains) }
            receipts = try await ask(request, of: members.map(RunReference.run))
        } catch {
            throw error.after(partIsDone: hasGateChanged)
        }
        return GroupPause(
            hasGateChanged: hasGateChanged,
            members: receipts.filter { receipt in
                switch receipt.outcome {
                case .recorded, .withdrawn: true
                case .already, .handler: request.action == .pause
                case .queued, .cancelling, .ended, .missing, .replaced: false
                }
            }
        )
    }

    /// Records for each run that it is to be paused, or to go on. Returns when all are recorded: a receipt each, in order.
    /// A run is paused when its state says so. Asking again changes nothing.
    ///
    /// - `expected`: with it, a job whose newest run is another one is not touched.
    public func ask(
        _ request: PauseRequest,
        of references: [RunReference],
        expected: RunID? = nil
    ) async throws(RedisError) -> [PauseReceipt] {
        var receipts: [PauseReceipt] = []
        for start in stride(from: 0, to: references.count, by: Self.runsPerScript) {
            let chunk = references[start..<min(start + Self.runsPerScript, references.count)]
            do throws(RedisError) {
                receipts += try await record(request, for: chunk, expected: expected)
            } catch {
                throw error.after(partIsDone: receipts.contains { $0.outcome == .recorded })
            }
        }
        return receipts
    }

    /// One call of the script.
    private func record(
        _ request: PauseRequest,
        for references: ArraySlice<RunReference>,
        expected: RunID?
    ) async throws(RedisError) -> [PauseReceipt] {
        let arguments: [RedisArgument] = [
            .init(request.action.rawValue), .init(request.id.rawValue),
            .init((request.triggeredBy ?? "").clipped(toBytes: 256)), .init(expected?.rawValue ?? ""),
        ]
        let runs = try await runsToSign(references)
        let signed = signedArguments(references, runs) { request.signed(for: $0, namespace: keys.namespace, with: $1) }
        let reply = try await evaluate(RedisScripts.pause, arguments + signed)
        let receipts = (reply.array ?? []).compactMap(PauseReceipt.init)
        guard receipts.count == references.count else { throw unexpected(reply, from: "pause") }
        let moved = zip(runs, receipts).compactMap { $1.outcome == .recorded ? $0.movedTo($1.run) : nil }
        if moved.isEmpty { return receipts }
        do throws(RedisError) {
            _ = try await ask(request, of: moved.map(RunReference.run))
            return receipts
        } catch {
            throw error.after(partIsDone: true)
        }
    }

    /// Whether the run is to be paused, as far as anybody has asked; its state says what its worker has carried out.
    public func isPauseRequested(for run: RunID) async throws(RedisError) -> Bool {
        try await commands.send(RedisCommand("GET", .init(keys.pause(run)))).bytes != nil
    }

    /// The target that is paused and keeps this queued run from starting, as far as its worker does not matter; `nil` when
    /// none is.
    public func pausedTarget(holding record: RunRecord) async throws(RedisError) -> InterruptTarget? {
        let groups = record.groups.compactMap { try? Name($0) }  // only our scripts write them
        let queue = try? Name(record.queue)
        let targets =
            [InterruptTarget.all] + [queue].compactMap { $0.map(InterruptTarget.queue) } + groups.map { .group($0) }
        let pauses = try await commands.replies(to: targets.map { RedisCommand("GET", .init(keys.pause($0))) })
        return zip(targets, pauses).first { $0.1.bytes != nil }?.0
    }
}
