import InterruptCore
import InterruptRedis

/// Interrupts what its targets stand for, and waits for the proof.
struct StopCommand {
    let stage: InterruptStage
    let options: StopOptions
    let display: DisplayOptions

    private var screen: Screen { display.screen }

    func run(in session: Session) async throws {
        let signal = options.signal(stage: stage)
        let plan: StopPlan
        if options.isSingle, !options.dryRun {
            plan = StopPlan(options.targets.first, run: expected)
        } else {
            let found = try await StopPlan.find(options.targets, run: options.run, in: session)
            if options.dryRun { return found.report(on: display, emptyText: "nothing to interrupt") }
            plan = try confirm(found)
        }
        if options.noWait {
            let started = ContinuousClock.now
            let followers = try await send(plan, signal, in: session)
            try await finish(followers, in: session, since: started, lines: true)
        } else {
            try await session.withOccurrences(tick: StopWait.tick) { occurrences in
                try await wait(for: plan, signal, in: session, occurrences)
            }
        }
    }

    private var expected: RunID? { options.run.map { RunID(rawValue: $0.description) } }

    // MARK: Before

    /// Asks on a terminal; elsewhere only `--yes` goes on.
    private func confirm(_ found: StopPlan.Found) throws -> StopPlan {
        if options.yes { return StopPlan(options.targets) }
        if found.records.isEmpty, !found.hasDrainedTargets(at: stage) { return StopPlan(confirmed: found) }
        try Confirmation.interrupt.ask(about: found, on: screen)
        return StopPlan(confirmed: found)
    }

    // MARK: Sending

    /// Records the interrupt; returns when every run has its receipt.
    func send(_ plan: StopPlan, _ signal: InterruptSignal, in session: Session) async throws(CommandFailure)
        -> [StopFollower]
    {
        var followers: [StopFollower] = []
        for part in plan.parts {
            let new = try await session.resolving { client, isRepetition throws(RedisError) in
                switch part {
                case .one(let reference, let expected):
                    try await client.interrupt([reference], signal, expected: expected)
                        .map { StopFollower($0, signal: signal, isRepetition: isRepetition) }
                case .wide(let target):
                    try await client.interrupt(target, signal.aimed(at: target), only: plan.only)
                        .map { StopFollower($0, signal: signal, isRepetition: isRepetition) }
                }
            }
            // A run that two targets stand for is hit once.
            let known = Set(followers.compactMap(\.run))
            followers += new.filter { $0.run.map { !known.contains($0) } ?? true }
        }
        if let only = plan.only, !display.isJSON {
            let ended = only.subtracting(followers.compactMap(\.run)).count
            if ended > 0 { StandardStreams.error("\(Counted.runs(ended)) ended meanwhile") }
        }
        return followers
    }

    // MARK: Waiting

    private func wait(
        for plan: StopPlan,
        _ signal: InterruptSignal,
        in session: Session,
        _ occurrences: AsyncStream<Occurrence>
    ) async throws {
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
        var wait = StopWait(followers: try await send(plan, signal, in: session), limit: options.wait)
        show(wait.begin(now: .now), wait)
        await look(session, &wait, since: started)
        show(await silence(session, &wait), wait)
        while !wait.isOver(after: started.duration(to: .now)),
            let occurrence = await iterator.next(isolation: #isolation)
        {
            switch occurrence {
            case .press:
                if !display.isJSON {
                    StandardStreams.error("the request stays on record; nothing was undone")
                }
                try await finish(wait.followers, in: session, since: started, lines: false)
                return
            case .listening, .deaf: await look(session, &wait, since: started)
            case .event(let event):
                if wait.concerns(event.run) { await look(session, &wait, since: started) }
            case .tick:
                await look(session, &wait, since: started)
                await assertAgain(session, &wait)
            }
        }
        try await finish(wait.followers, in: session, since: started, lines: false)
    }

    private func show(_ steps: [StopWait.Said], _ wait: StopWait) {
        if display.isJSON { return }
        for said in steps {
            let lines = StopTexts.lines(
                said.step,
                of: wait.followers[said.index],
                isOneOfMany: wait.followers.count > 1,
                on: screen
            )
            for line in lines { StandardStreams.out(line) }
        }
    }

    /// Reads the records of what is open. Redis may be away for a moment: the next look is soon.
    private func look(_ session: Session, _ wait: inout StopWait, since started: ContinuousClock.Instant) async {
        let open = wait.openRuns
        guard !open.isEmpty, let records = try? await session.client.records(of: open) else { return }
        show(wait.observe(records, elapsed: started.duration(to: .now)), wait)
    }

    private func silence(_ session: Session, _ wait: inout StopWait) async -> [StopWait.Said] {
        guard wait.needsReceipt, let now = try? await session.client.serverTime() else { return [] }
        var steps: [StopWait.Said] = []
        for name in wait.workersOfOpenRuns {
            // Not being able to ask now says nothing about the worker.
            guard let worker = try? await session.client.worker(name) else { continue }
            steps += wait.observe(worker, now: now)
        }
        return steps
    }

    /// Asks once a second again for what has no receipt yet, with the same request id: recorded once, told twice.
    private func assertAgain(_ session: Session, _ wait: inout StopWait) async {
        guard let (runs, signal) = wait.dueAgain() else { return }
        _ = try? await session.client.interrupt(runs.map(RunReference.run), signal)  // the next second asks again
        show(await silence(session, &wait), wait)
    }

    // MARK: After

    private func finish(
        _ followers: [StopFollower],
        in session: Session,
        since started: ContinuousClock.Instant,
        lines: Bool
    ) async throws {
        var followers = followers
        if lines {
            let many = followers.count > 1
            for index in followers.indices {
                for step in followers[index].begin(now: .now) where !display.isJSON {
                    for line in StopTexts.lines(step, of: followers[index], isOneOfMany: many, on: screen) {
                        StandardStreams.out(line)
                    }
                }
            }
        }
        if followers.isEmpty, !display.isJSON { StandardStreams.out(emptyText) }
        let isWaiting = !options.noWait
        var statuses: [CommandStatus] = []
        for var follower in followers {
            // Without waiting, what counts is what the answer said.
            let answered = follower.status(isWaiting: isWaiting)
            let isReadAgain = follower.outcome == .ended || follower.isAlreadyRequested && follower.record == nil
            if isReadAgain, let run = follower.run {
                // How and when it ended, or was acknowledged, is a courtesy; that it has, or was asked, is known.
                if let record = try? await session.client.record(of: run) {
                    _ = follower.observe(record, elapsed: .zero)
                }
            }
            let failure = StopTexts.failure(
                of: follower,
                expected: expected,
                isWaiting: isWaiting,
                now: .now,
                waited: started.duration(to: .now)
            )
            if display.isJSON { StandardStreams.out(follower.json(error: failure?.description).line) }
            let status = (isWaiting ? follower.status(isWaiting: true) : answered)
                .tolerating(nothingRunning: options.ifRunning)
            if status != .done { failure?.report(on: screen) }
            statuses.append(status)
        }
        let worst = CommandStatus.worst(statuses)
        if worst != .done { throw CommandFailure.silent(worst.rawValue) }
    }

    private var emptyText: String {
        stage == .drain
            ? "nothing to interrupt; nothing new starts until 'interruptctl resume'" : "nothing to interrupt"
    }
}

/// Numbers with their nouns.
enum Counted {
    static func runs(_ count: Int) -> String { count == 1 ? "1 run" : "\(count) runs" }
}

extension InterruptSignal {
    fileprivate func aimed(at target: InterruptTarget) -> InterruptSignal {
        var signal = self
        signal.target = target
        return signal
    }
}
