import Glibc
import InterruptCore
import InterruptRedis

/// A command that asks something of runs and waits for their workers' word.
protocol RequestCommand {
    associatedtype Follower: RequestFollower

    var options: RequestOptions { get }
    /// How a person is asked first; `nil` asks nobody.
    var confirmation: Confirmation? { get }
    var display: DisplayOptions { get }
    /// What a person is told at once, before Redis has answered; `nil` is nothing.
    var announcement: String? { get }
    /// Whether a worker with a key honours it only when it is signed.
    var needsSignature: Bool { get }
    /// What is said when there was nobody to ask it of.
    var emptyText: String? { get }

    /// Asks what has to be known before anything is recorded.
    func prepare(in session: Session) async throws(CommandFailure)

    /// Records the request; returns when every run has its receipt.
    ///
    /// - Parameter only: of a target of many only these runs.
    func send(
        to part: TargetPlan.Part,
        only: Set<RunID>?,
        in session: Session
    ) async throws(CommandFailure) -> RequestAnswer<Follower>

    /// Asks once more, with the same request id, what has no receipt yet; what the answers say.
    ///
    /// - Throws: when there was no answer, which is no trouble: it is asked again soon.
    func sendAgain(to runs: [RunID], in session: Session) async throws(RedisError) -> [Follower]

    /// Sees to it that what the plan's targets have closed is still closed, when the server may have lost it.
    ///
    /// - Parameter ago: how long ago it was closed; what somebody has opened since stays open.
    func closeAgain(_ plan: TargetPlan, ago: Duration, in session: Session) async throws(RedisError)
}

/// What asking one part of a plan came to.
struct RequestAnswer<Follower: RequestFollower> {
    var followers: [Follower]
    /// What is on record otherwise than asked, whatever the runs do.
    var trouble: CommandFailure?
}

extension RequestCommand {
    private var screen: Screen { display.screen }

    /// Asks it of all that the options name. Returns when every run has answered, or the wait is over.
    func run(over connection: ConnectionOptions) async throws {
        let immediate = immediatePlan
        if immediate != nil { announce() }
        let session = try await Session.open(connection)
        if !isDryRun { try await prepare(in: session) }
        if let immediate { return try await run(immediate, in: session) }
        if let plan = try await confirmedPlan(in: session) { try await run(plan, in: session) }
    }

    // MARK: Before

    private var isDryRun: Bool { confirmation?.options.dryRun ?? false }

    /// Whom to ask where no person is asked first.
    private var immediatePlan: TargetPlan? {
        if isDryRun { return nil }
        if options.isSingle { return TargetPlan(options.targets.first, run: options.expected) }
        return confirmation?.options.yes ?? true ? TargetPlan(options.targets) : nil
    }

    /// Whom to ask after a person has said yes; `nil` when they were only to be listed.
    private func confirmedPlan(in session: Session) async throws(CommandFailure) -> TargetPlan? {
        guard let confirmation else { return nil }
        let found = try await TargetPlan.find(options.targets, run: options.run, in: session)
        if isDryRun {
            found.report(on: display, emptyText: "nothing to \(confirmation.verb)")
            return nil
        }
        let plan = try confirmation.plan(for: found, on: screen)
        if !found.records.isEmpty { announce() }
        return plan
    }

    private func announce() {
        guard let announcement, !display.isJSON, isatty(STDERR_FILENO) == 1 else { return }
        StandardStreams.error(announcement)
    }

    // MARK: Sending

    private func send(_ plan: TargetPlan, in session: Session) async throws(CommandFailure) -> RequestWait<Follower> {
        var followers: [Follower] = []
        var troubles: [CommandFailure] = []
        var isComplete = true
        for (index, part) in plan.parts.enumerated() {
            let answer: RequestAnswer<Follower>
            do throws(CommandFailure) {
                answer = try await send(to: part, only: plan.only, in: session)
            } catch {
                // What was asked before is on record, and followed to its end.
                if index == 0 { throw error }
                troubles.append(plan.failure(error, at: index))
                isComplete = false
                break
            }
            // A run that two targets stand for is asked once.
            let known = Set(followers.compactMap(\.run))
            followers += answer.followers.filter { $0.run.map { !known.contains($0) } ?? true }
            if let trouble = answer.trouble { troubles.append(trouble) }
        }
        if let only = plan.only, isComplete, !display.isJSON {
            let ended = only.subtracting(followers.compactMap(\.run)).count
            if ended > 0 { StandardStreams.error("\(Counted.runs(ended)) ended meanwhile") }
        }
        return RequestWait(
            followers: followers,
            limit: options.wait,
            troubles: troubles,
            isHeeded: !needsSignature || session.signingKey != nil,
            random: .random(in: 0..<1)
        )
    }

    // MARK: Waiting

    private func run(_ plan: TargetPlan, in session: Session) async throws {
        guard options.noWait else {
            return try await session.withOccurrences(tick: RequestWait<Follower>.tick) { occurrences in
                try await follow(plan, in: session, occurrences)
            }
        }
        let started = ContinuousClock.now
        var wait = try await send(plan, in: session)
        show(wait.begin(now: .now), of: wait)
        try await finish(wait, in: session, since: started)
    }

    private func follow(
        _ plan: TargetPlan,
        in session: Session,
        _ occurrences: AsyncStream<Occurrence>
    ) async throws {
        var iterator = occurrences.makeAsyncIterator()
        // Listen first, so that no answer is missed; but a server that lets nobody listen must not hold up the request.
        var ticks = 0
        var isListening = false
        listening: while let occurrence = await iterator.next(isolation: #isolation) {
            switch occurrence {
            case .listening:
                isListening = true
                break listening
            case .deaf: break listening
            case .tick:
                ticks += 1
                if ticks == RequestWait<Follower>.ticksToListen { break listening }
            case .press: throw CommandFailure.silent(130)
            case .event, .gap: break
            }
        }
        let started = ContinuousClock.now
        var wait = try await send(plan, in: session)
        show(wait.begin(now: .now), of: wait)
        await look(session, &wait, since: started)
        await lookForSilence(session, &wait)
        waiting: while !wait.isOver(after: started.duration(to: .now)),
            let occurrence = await iterator.next(isolation: #isolation)
        {
            switch occurrence {
            case .press:
                if !display.isJSON { StandardStreams.error("the request stays on record; nothing was undone") }
                break waiting
            case .deaf:
                // Of one who may not listen there is nothing to lose.
                if isListening { wait.reassertion.connectionWasLost() }
                isListening = false
            case .listening:
                isListening = true
                await lookAndAsk(session, &wait, plan, since: started)
            case .event(let event):
                if wait.concerns(event.run) { await lookAndAsk(session, &wait, plan, since: started) }
            case .gap, .tick: await lookAndAsk(session, &wait, plan, since: started)
            }
        }
        try await finish(wait, in: session, since: started)
    }

    private func show(_ all: [RequestWait<Follower>.Said], of wait: RequestWait<Follower>) {
        if display.isJSON { return }
        for said in all {
            for line in wait.lines(said, on: screen) { StandardStreams.out(line) }
        }
    }

    /// Reads what is open, and asks again what is due.
    private func lookAndAsk(
        _ session: Session,
        _ wait: inout RequestWait<Follower>,
        _ plan: TargetPlan,
        since started: ContinuousClock.Instant
    ) async {
        guard await look(session, &wait, since: started) else { return }
        let elapsed = started.duration(to: .now)
        let due = wait.dueAgain(at: elapsed)
        if due.isEmpty { return }
        var hasArrived = true
        do throws(RedisError) {
            if wait.reassertion.isAfterLoss { try await closeAgain(plan, ago: elapsed, in: session) }
            let answers = try await sendAgain(to: due, in: session)
            show(wait.observe(repetitions: answers, now: .now), of: wait)
        } catch {
            hasArrived = false  // refused, or Redis is away: it is asked again soon
        }
        wait.reassertion.asserted(at: elapsed, hasArrived: hasArrived, random: .random(in: 0..<1))
        await lookForSilence(session, &wait)
    }

    /// Reads the records of what is open, and says whether Redis has answered. It may be away for a moment: the next look is
    /// soon.
    @discardableResult
    private func look(
        _ session: Session,
        _ wait: inout RequestWait<Follower>,
        since started: ContinuousClock.Instant
    ) async -> Bool {
        let open = wait.openRuns
        if open.isEmpty { return true }
        do throws(RedisError) {
            let records = try await session.client.records(of: open)
            show(wait.observe(records, elapsed: started.duration(to: .now)), of: wait)
            return true
        } catch {
            wait.reassertion.connectionWasLost()
            return false
        }
    }

    /// Asks whether the workers are there. Not being able to ask now says nothing about them, and is not waited for twice.
    private func lookForSilence(_ session: Session, _ wait: inout RequestWait<Follower>) async {
        let names = wait.workersOfOpenRuns
        guard !names.isEmpty, let now = try? await session.client.serverTime() else { return }
        for name in names {
            let answer: WorkerRecord?
            do { answer = try await session.client.worker(name) } catch { return }
            if let answer { show(wait.observe(answer, now: now), of: wait) }
        }
    }

    // MARK: After

    private func finish(
        _ wait: RequestWait<Follower>,
        in session: Session,
        since started: ContinuousClock.Instant
    ) async throws {
        if wait.followers.isEmpty, !display.isJSON, let emptyText { StandardStreams.out(emptyText) }
        let isWaiting = !options.noWait
        var statuses = wait.troubles.map { CommandStatus(rawValue: $0.status) ?? .failed }
        for trouble in wait.troubles { trouble.report(on: screen) }
        var canAsk = true
        for (index, var follower) in wait.followers.enumerated() {
            // Without waiting, what counts is what the answer said.
            let answered = follower.status(isWaiting: isWaiting)
            // How it ended, or was acknowledged, is a courtesy; a server that does not answer is asked once.
            if canAsk, follower.isWorthALastLook, let run = follower.run {
                do {
                    let record = try await session.client.record(of: run)
                    if let record { _ = follower.observe(record, elapsed: .zero) }
                } catch {
                    canAsk = false
                }
            }
            var failure = follower.failure(
                expected: options.expected,
                isWaiting: isWaiting,
                now: .now,
                waited: started.duration(to: .now)
            )
            if follower.needsReceipt, let remedy = wait.remedy(for: index) { failure?.hint = remedy }
            if display.isJSON { StandardStreams.out(follower.json(error: failure?.description).line) }
            let status = (isWaiting ? follower.status(isWaiting: true) : answered)
                .tolerating(nothingRunning: options.ifRunning)
            if status != .done { failure?.report(on: screen) }
            statuses.append(status)
        }
        let worst = CommandStatus.worst(statuses)
        if worst != .done { throw CommandFailure.silent(worst.rawValue) }
    }
}
