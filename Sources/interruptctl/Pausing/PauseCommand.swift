import InterruptCore
import InterruptRedis

/// Pauses what its targets stand for, or lets it go on, and waits for the workers' word.
struct PauseCommand {
    let action: PauseRequest.Action
    let options: PauseOptions
    let display: DisplayOptions

    /// How often the records are read again, whatever was heard.
    private static let tick = StopWait.tick

    private var screen: Screen { display.screen }

    /// Carries `plan` out. Returns when every run is as it was asked, or its limit is over.
    func run(_ plan: StopPlan, in session: Session) async throws {
        if options.noWait {
            var followers = try await send(plan, in: session)
            show(begin(&followers), followers)
            return try await finish(followers, in: session, waited: .zero)
        }
        try await session.withOccurrences(tick: Self.tick) { occurrences in
            try await wait(for: plan, in: session, occurrences)
        }
    }

    // MARK: Sending

    private func send(_ plan: StopPlan, in session: Session) async throws(CommandFailure) -> [PauseFollower] {
        let request = PauseRequest(action, triggeredBy: Requester.ofProcess)
        var followers: [PauseFollower] = []
        for part in plan.parts {
            let receipts: [PauseReceipt]
            switch part {
            case .one(let reference, let expected):
                receipts = try await session.resolving { client, _ throws(RedisError) in
                    try await client.ask(request, of: [reference], expected: expected)
                }
            case .wide(let target):
                let answer = try await session.resolving { client, _ throws(RedisError) in
                    try await client.ask(request, of: target, only: plan.only)
                }
                show(target, answer)
                receipts = answer.members
            }
            // A run that two targets stand for is asked once.
            let known = Set(followers.compactMap(\.run))
            followers += receipts.filter { $0.run.map { !known.contains($0) } ?? true }
                .map { PauseFollower($0, action: action) }
        }
        return followers
    }

    private func show(_ target: InterruptTarget, _ answer: GroupPause) {
        if display.isJSON {
            let changed = action == .pause ? "paused" : "resumed"
            let line: [String: JSONValue] = [
                "target": .string(target.description), changed: .bool(answer.hasGateChanged),
            ]
            StandardStreams.out(JSONValue.object(line).line)
        } else {
            StandardStreams.out(PauseTexts.gate(target, action, hasChanged: answer.hasGateChanged))
        }
    }

    // MARK: Waiting

    private func wait(for plan: StopPlan, in session: Session, _ occurrences: AsyncStream<Occurrence>) async throws {
        var iterator = occurrences.makeAsyncIterator()
        // Listen first, so that no answer is missed; but a server that lets nobody listen must not hold up the request.
        var ticks = 0
        listening: while let occurrence = await iterator.next(isolation: #isolation) {
            switch occurrence {
            case .listening, .deaf: break listening
            case .tick:
                ticks += 1
                if ticks == 4 { break listening }
            case .press: throw CommandFailure.silent(130)
            case .event: break
            }
        }
        let started = ContinuousClock.now
        var followers = try await send(plan, in: session)
        show(begin(&followers), followers)
        await look(session, &followers, since: started)
        let limit = options.wait ?? StopLimits.answer
        while followers.contains(where: { !$0.isEnded }), started.duration(to: .now) < limit,
            let occurrence = await iterator.next(isolation: #isolation)
        {
            switch occurrence {
            case .press:
                if !display.isJSON { StandardStreams.error("the request stays on record; nothing was undone") }
                return try await finish(followers, in: session, waited: started.duration(to: .now))
            case .listening, .deaf, .tick: await look(session, &followers, since: started)
            case .event(let event):
                if followers.contains(where: { !$0.isEnded && $0.run?.rawValue == event.run }) {
                    await look(session, &followers, since: started)
                }
            }
        }
        try await finish(followers, in: session, waited: started.duration(to: .now))
    }

    private typealias Said = (index: Int, step: PauseFollower.Step)

    private func begin(_ followers: inout [PauseFollower]) -> [Said] {
        followers.indices.flatMap { index in followers[index].begin().map { (index, $0) } }
    }

    private func show(_ steps: [Said], _ followers: [PauseFollower]) {
        if display.isJSON { return }
        for said in steps {
            let isOneOfMany = followers.count > 1
            let line = PauseTexts.line(said.step, of: followers[said.index], isOneOfMany: isOneOfMany, on: screen)
            StandardStreams.out(line)
        }
    }

    /// Reads the records of what is open, and whether their workers are there. Redis may be away for a moment: the next
    /// look is soon.
    private func look(
        _ session: Session,
        _ followers: inout [PauseFollower],
        since started: ContinuousClock.Instant
    ) async {
        let open = followers.filter { !$0.isEnded }.compactMap(\.run)
        guard !open.isEmpty, let records = try? await session.client.records(of: open) else { return }
        let elapsed = started.duration(to: .now)
        for record in records {
            for index in followers.indices where followers[index].run == record.run {
                show(followers[index].observe(record, elapsed: elapsed).map { (index, $0) }, followers)
            }
        }
        guard followers.contains(where: { !$0.isEnded }), let now = try? await session.client.serverTime() else {
            return
        }
        for name in Set(followers.filter { !$0.isEnded }.compactMap { $0.record?.worker }).sorted() {
            // Not being able to ask now says nothing about the worker.
            guard let worker = try? await session.client.worker(name) else { continue }
            for index in followers.indices where followers[index].record?.worker == name {
                show(followers[index].observe(worker, now: now).map { (index, $0) }, followers)
            }
        }
    }

    // MARK: After

    private func finish(_ followers: [PauseFollower], in session: Session, waited: Duration) async throws {
        let isWaiting = !options.noWait
        var statuses: [CommandStatus] = []
        for var follower in followers {
            // How it ended, and where it waits, is a courtesy.
            if follower.record == nil, let run = follower.run, let record = try? await session.client.record(of: run) {
                follower.complete(with: record)
            }
            let failure = PauseTexts.failure(
                of: follower,
                expected: options.expected,
                isWaiting: isWaiting,
                now: .now,
                waited: waited
            )
            if display.isJSON { StandardStreams.out(follower.json(error: failure?.description).line) }
            let status = follower.status(isWaiting: isWaiting).tolerating(nothingRunning: options.ifRunning)
            if status != .done { failure?.report(on: screen) }
            statuses.append(status)
        }
        let worst = CommandStatus.worst(statuses)
        if worst != .done { throw CommandFailure.silent(worst.rawValue) }
    }
}
