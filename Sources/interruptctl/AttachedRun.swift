import Glibc
import InterruptCore
import InterruptRedis

/// What the presses of Ctrl-C do to an attached run. Decides; sends nothing.
struct AttachedPresses<Instant: InstantProtocol> where Instant.Duration == Duration {
    enum Action: Equatable {
        /// A repetition of the press before.
        case none
        case interrupt(InterruptStage)
        /// Leave the run alone and return to the shell.
        case leave
    }

    private var presses = Presses<Instant>()
    private var stage: InterruptStage?

    mutating func press(at instant: Instant) -> Action {
        guard presses.counts(at: instant) else { return .none }
        switch stage {
        case nil, .drain: stage = .terminate
        case .terminate: stage = .kill
        case .kill: return .leave
        }
        return .interrupt(stage!)
    }

    /// What is said when a press was taken in.
    static func text(_ action: Action, on screen: Screen) -> String? {
        switch action {
        case .none: nil
        case .interrupt(let stage):
            "\(screen.sign(.interrupt)) Interrupting..."
                + (stage == .kill
                    ? " killed now. Press Ctrl+C again to leave; nothing is undone"
                    : " Press Ctrl+C again to kill it now")
        case .leave: "left: the interrupt stays on record, nothing was undone"
        }
    }
}

/// A run whose output, end and Ctrl-C belong to this terminal, with those in which its job is tried again.
struct AttachedRun {
    let session: Session
    let run: RunID
    let display: DisplayOptions
    /// Whether a terminal gets the output as it is.
    let isRaw: Bool

    /// What a person was told of how far the job is.
    private enum Said {
        case nothing, queued, running
    }

    private enum Finish: Sendable {
        /// The last run of the job.
        case ended(RunID, OutputGaps)
        case left
        case still
    }

    /// Follows the run to its end; returns the exit status of the command.
    ///
    /// - Parameter occurrences: heard from before the job was submitted, so that no press is lost.
    func follow(_ occurrences: AsyncStream<Occurrence>) async throws -> Int32 {
        let screen = display.screen
        let isTalking = isatty(STDERR_FILENO) == 1 && !display.isJSON
        let finish = try await withThrowingTaskGroup(of: Finish.self) { group in
            group.addTask { try await copy(on: screen) }
            group.addTask { await attend(occurrences, on: screen, isTalking: isTalking) }
            defer { group.cancelAll() }
            for try await finish in group {
                if case .still = finish { continue }
                return finish
            }
            return .left
        }
        guard case .ended(let last, let gaps) = finish else { return 130 }
        let record = try await record(of: last)
        let summary = await gaps.summary(of: record, asking: session.client, on: screen)
        if let summary { StandardStreams.error(summary) }
        if display.isJSON {
            StandardStreams.error(record.json.line)
        } else if let trouble = OutcomeText.trouble(record, on: screen) {
            CommandFailure(.ownTrouble, trouble).report(on: screen)
        } else if isTalking || record.state == .interrupted {
            StandardStreams.error(OutcomeText.lineWithMessage(record, on: screen))
        }
        if let hookError = record.hookError, !display.isJSON {
            StandardStreams.error(screen.fitted("warning: \(hookError.escapedForDisplay(limit: 300))"))
        }
        return OutcomeText.exitStatus(record)
    }

    /// Copies the output of the run, and of each in which the job is tried again.
    private func copy(on screen: Screen) async throws -> Finish {
        let client = session.anotherClient(commandTimeout: .seconds(3))
        var run = run
        while true {
            let copied = try await OutputReader(client: client, run: run, screen: screen, isRaw: isRaw)
                .copy(isFollowing: true)
            if !copied.hasEnded { return .still }
            let record = try await record(of: run)
            guard let next = record.nextRun else { return .ended(run, copied.gaps) }
            if let summary = await copied.gaps.summary(of: record, asking: session.client, on: screen) {
                StandardStreams.error(summary)
            }
            if !display.isJSON { StandardStreams.error(OutcomeText.lineWithRetry(record, on: screen)) }
            run = next
        }
    }

    private func record(of run: RunID) async throws(CommandFailure) -> RunRecord {
        let record = try await session.asking { () async throws(RedisError) in try await session.client.record(of: run)
        }
        guard let record else { throw CommandFailure(.failed, "run \(run.rawValue) is no longer on record") }
        return record
    }

    /// Turns presses into interrupts of the run that the job has now, and says once that the first one has started, and
    /// before that why not when it takes long.
    private func attend(_ occurrences: AsyncStream<Occurrence>, on screen: Screen, isTalking: Bool) async -> Finish {
        var run = run
        var presses = AttachedPresses<ContinuousClock.Instant>()
        var said = isTalking ? Said.nothing : .running
        var asked: AttachedRequest?
        var isListening = false
        for await occurrence in occurrences {
            switch occurrence {
            case .press(let instant):
                switch presses.press(at: instant) {
                case .none: break
                case .leave:
                    say(.leave, on: screen)
                    return .left
                case .interrupt(let stage): asked = await interrupt(run, stage, on: screen)
                }
            case .listening, .deaf, .event, .gap, .tick:
                if occurrence.isDeaf, isListening { asked?.reassertion.connectionWasLost() }
                isListening = occurrence.isListening(after: isListening)
                if said == .running, asked == nil { break }
                // Not being able to look now is no trouble: the next look is soon.
                guard let record = try? await session.client.record(of: run) else {
                    asked?.reassertion.connectionWasLost()
                    break
                }
                if let next = record.nextRun {
                    run = next
                    break
                }
                asked = await assertAgain(asked, record)
                if said == .nothing, record.state == .queued, case .tick = occurrence {
                    said = .queued
                    StandardStreams.error(await queuedText(record).line(on: screen))
                }
                if said == .running || record.startedAt == nil { break }
                said = .running
                if !record.state.isEnd {
                    let worker = record.worker.map { ", worker \(screen.shown($0))" } ?? ""
                    StandardStreams.error("Running... (job \(screen.shown(record.job))\(worker))")
                }
            }
        }
        return .still
    }

    /// Asks what keeps it from starting. Where that is not answered, or may not be asked, no reason is given.
    private func queuedText(_ record: RunRecord) async -> QueuedText {
        let client = session.client
        do {
            let holder = try await client.pausedTarget(holding: record)
            let (workers, now) = (try await client.workers(), try await client.serverTime())
            return QueuedText(record: record, holder: holder, workers: workers, now: now)
        } catch {
            return QueuedText(record: record, holder: nil, workers: nil, now: .now)
        }
    }

    private func say(_ action: AttachedPresses<ContinuousClock.Instant>.Action, on screen: Screen) {
        if let text = AttachedPresses<ContinuousClock.Instant>.text(action, on: screen) { StandardStreams.error(text) }
    }

    /// Asks again what has no receipt yet; returns what still has none.
    private func assertAgain(_ asked: AttachedRequest?, _ record: RunRecord) async -> AttachedRequest? {
        guard var asked, !record.state.isEnd, record.stage.map({ $0 < asked.signal.stage }) ?? true else { return nil }
        let elapsed = asked.since.duration(to: .now)
        guard asked.reassertion.isDue(at: elapsed) else { return asked }
        // What is refused, or not answered, is asked again soon.
        let receipts = try? await session.client.interrupt([.run(record.run)], asked.signal)
        asked.reassertion.asserted(at: elapsed, hasArrived: receipts != nil, random: .random(in: 0..<1))
        return asked
    }

    private func interrupt(_ run: RunID, _ stage: InterruptStage, on screen: Screen) async -> AttachedRequest {
        say(.interrupt(stage), on: screen)
        let request = AttachedRequest(stage: stage)
        do {
            _ = try await session.resolving { client, _ throws(RedisError) in
                try await client.interrupt([.run(run)], request.signal)
            }
        } catch {
            StandardStreams.error(screen.fitted("Failed to interrupt command: \(error.description)"))
        }
        return request
    }
}

/// What a press has asked for, until the run's worker has it.
private struct AttachedRequest {
    let signal: InterruptSignal
    let since = ContinuousClock.now
    var reassertion = Reassertion(random: .random(in: 0..<1))

    init(stage: InterruptStage) {
        signal = InterruptSignal(stage: stage, triggeredBy: Requester.ofProcess, source: .remote)
    }
}
