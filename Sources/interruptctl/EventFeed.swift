import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis
import Logging

/// A change of a run's state as it is published to whoever watches. From elsewhere, so nothing in it is trusted.
struct RunEvent: Decodable, Equatable {
    var event: String
    var job: String
    var run: String
    var state: String
    var at_ms: Int64?
    var stage: Int?
    var progress: Double?
    var progress_message: String?
    var section: String?
    var checkpoint: String?
    var survivors: String?
    var elapsed_ms: Int64?
    var more_time_ms: Int64?

    /// How far the run is, if that is what is told.
    var workProgress: WorkProgress? {
        // A number that is none is not shown.
        progress.flatMap { try? WorkProgress($0, progress_message) }
    }

    /// How much longer it takes, as far as that can be said.
    var remaining: Duration? {
        guard let workProgress, let elapsed_ms, state == RunState.running.rawValue else { return nil }
        return workProgress.remaining(elapsed: .milliseconds(elapsed_ms))
    }

    /// What the run has told of itself, if that is what is told.
    var note: RunNote? {
        switch event {
        case "checkpoint": checkpoint.map(RunNote.checkpoint)
        case "more_time": more_time_ms.map { .moreTime(.milliseconds($0)) }
        default: nil
        }
    }

    /// Why the run goes on although it was asked to end, if that is what is told.
    var holdout: Holdout? {
        guard event == "holdout" else { return nil }
        return Holdout(
            survivors: survivors,
            section: section,
            lastCheckpoint: checkpoint,
            elapsed: .milliseconds(elapsed_ms ?? 0)
        )
    }

    /// `nil` for anything that is not such an event.
    init?(payload: [UInt8]) {
        guard payload.count <= 65_536, let event = try? JSONDecoder().decode(RunEvent.self, from: Data(payload)) else {
            return nil
        }
        self = event
    }

    var json: JSONValue {
        var members: [String: JSONValue] = [
            "event": .string(event), "job": .string(job), "run": .string(run), "state": .string(state),
        ]
        members["at"] = at_ms.map { .string(Timestamp(milliseconds: $0).rfc3339) }
        members["stage"] = stage.map { .integer(Int64($0)) }
        members["progress"] = workProgress.map { .number($0.fraction) }
        members["progress_message"] = workProgress?.message.map(JSONValue.string)
        members["eta_ms"] = remaining.map { .integer($0.milliseconds) }
        members["section"] = section.map(JSONValue.string)
        members["checkpoint"] = checkpoint.map(JSONValue.string)
        members["survivors"] = survivors.map(JSONValue.string)
        members["more_time_ms"] = more_time_ms.map(JSONValue.integer)
        members["elapsed_ms"] = elapsed_ms.map(JSONValue.integer)
        return .object(members)
    }
}

/// Something that a waiting command reacts to.
enum Occurrence: Sendable {
    /// The subscription stands: from now on no event is missed.
    case listening
    /// There is no subscription now: what was published meanwhile must be read.
    case deaf(RedisError)
    case event(RunEvent)
    /// Some events are missing: they came faster than they were taken.
    case gap
    /// Time to look again, whatever was heard.
    case tick
    /// Ctrl-C, when it was pressed; Esc, where somebody watches.
    case press(ContinuousClock.Instant)

    var isDeaf: Bool { if case .deaf = self { true } else { false } }

    /// Whether the subscription stands after this, when it stood before or not.
    func isListening(after before: Bool) -> Bool {
        switch self {
        case .listening: true
        case .deaf: false
        case .event, .gap, .tick, .press: before
        }
    }
}

extension Session {
    /// Runs `body` with everything a waiting command reacts to, as one sequence that never ends by itself.
    ///
    /// - Parameters:
    ///   - tick: how often to look again: the safety net under what is published.
    ///   - isWatching: whether somebody only looks on. Then what runs tell of their progress is among the events, though it
    ///     changes no state, and Esc is a press.
    func withOccurrences<R: Sendable>(
        tick: Duration,
        isWatching: Bool = false,
        body: (AsyncStream<Occurrence>) async throws -> R
    ) async throws -> R {
        // An ignored SIGINT stays so: that is what a shell's background means.
        try await withUnixSignals(UnixSignals.isIgnored(SIGINT) ? [] : [SIGINT]) { signals in
            // The command is over then: a press too much means nothing.
            defer { signals.forget() }
            return try await withOccurrences(
                tick: tick,
                isWatching: isWatching,
                presses: signals,
                body: body
            )
        }
    }

    private func withOccurrences<R: Sendable>(
        tick: Duration,
        isWatching: Bool,
        presses: UnixSignals,
        body: (AsyncStream<Occurrence>) async throws -> R
    ) async rethrows -> R {
        let feed = OccurrenceFeed()
        let subscriber = RedisSubscriber(
            endpoint: endpoint,
            logger: Logger(label: "interruptctl") { _ in SwiftLogNoOpLogHandler() },
            channels: ["\(keys.namespace):events"]
        ) { event in
            switch event {
            case .connected: feed.add(.listening)
            case .disconnected(let error): feed.add(.deaf(error))
            case .push(let push):
                guard let event = push.payload.bytes.flatMap(RunEvent.init) else { break }
                if isWatching || event.event != "progress" { feed.add(.event(event)) }
            }
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await subscriber.run() }
            group.addTask {
                var isAsked = false
                for await _ in presses {
                    // The first one waits behind a line that nobody reads. On a terminal it is the terminal that waits.
                    if isWatching, isAsked, isatty(STDOUT_FILENO) == 0 { exit(130) }
                    isAsked = true
                    feed.add(.press(.now))
                }
            }
            if isWatching { group.addTask { try await EscapeKey.watch { feed.add(.press(.now)) } } }
            group.addTask {
                while !Task.isCancelled {
                    try await Task.sleep(for: tick)
                    feed.add(.tick)
                }
            }
            defer { group.cancelAll() }
            return try await body(feed.occurrences)
        }
    }
}
