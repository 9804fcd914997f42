import InterruptCore
import InterruptRedis

/// Everything about one run, for people.
struct RunDetails {
    let record: RunRecord
    let worker: WorkerRecord?
    /// The interrupt in force, acknowledged or not.
    let request: InterruptSignal?
    /// What is paused and keeps it from starting.
    var holder: InterruptTarget?
    /// Whether it is to be paused, carried out or not.
    var isPauseRequested = false
    let lastLine: String?
    let now: Timestamp

    func lines(on screen: Screen) -> [String] {
        func shown(_ text: String?) -> String? { text.map { screen.shown($0, limit: 1_000) } }
        let times = RunTimes(record, now: now)
        var fields: [(name: String, value: String?)] = [
            ("Job", shown(record.job)),
            ("Run", shown(record.run.rawValue)),
            ("Attempt", record.retries > 0 ? "\(attempt) of \(record.retries + 1)" : nil),
            ("Tried again", (record.nextRun?.rawValue).map { "as run \(screen.shown($0))" }),
            ("Due", record.dueAt.map { $0 > now ? "in \(($0 - now).displayText)" : "now" }),
            ("State", stateText(on: screen)),
            (record.handler == nil ? "Command" : "Handler", shown(record.handler ?? record.workText)),
            ("Input", record.handler == nil ? nil : screen.shown(record.input, limit: 400)),
            ("Directory", shown(record.directory)),
            ("Queue", shown(record.queue)),
            ("Groups", record.groups.isEmpty ? nil : shown(record.groups.joined(separator: ", "))),
            ("Worker", workerText(on: screen)),
            ("Process", record.pid.map { "pid \($0)" }),
            ("Held", holder.map(QueuedText.held)),
            ("Submitted", record.submittedAt?.rfc3339),
            ("Started", record.startedAt?.rfc3339),
            ("Elapsed", times.elapsed?.displayText),
            ("Progress", record.progress.map { ProgressText.of($0, remaining: record.remaining(at: now), on: screen) }),
            ("Checkpoint", shown(record.checkpoint)),
            ("Deadline", times.untilTimeout.map { $0 > .zero ? "in \($0.displayText)" : "passed" }),
            ("Limits", limitText),
            ("On interrupt", shown(record.hooks.onInterrupt?.shellText)),
            ("On end", shown(record.hooks.onEnd?.shellText)),
            ("Hook limit", record.hooks.isEmpty ? nil : record.hooks.limit.displayText),
            ("Hook error", shown(record.hookError)),
            ("Paused", pauseText(on: screen)),
            ("Ended", record.endedAt?.rfc3339),
        ]
        fields += interruptFields(on: screen)
        fields.append(("Last output", shown(lastLine)))
        return FieldList.lines(fields)
    }

    /// Which attempt it is, or will be once it starts.
    private var attempt: Int { record.startedAt == nil ? record.attempt + 1 : record.attempt }

    private var limitText: String? {
        let limits = record.limits
        let parts = [
            limits.memory.map { "memory \(ByteSize($0))" }, limits.cpuTime.map { "CPU time \($0.displayText)" },
            limits.processes.map { "processes \($0)" }, limits.output.map { "output \(ByteSize($0))" },
        ].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// Since when and by whom, or for how long in all; and what the worker has not carried out yet.
    private func pauseText(on screen: Screen) -> String? {
        let who = record.pausedBy.map { " by \(screen.shown($0, limit: 80))" } ?? ""
        if let pausedAt = record.pausedAt {
            let since = "\((now - pausedAt).displayText) ago\(who)"
            return isPauseRequested || request != nil ? since : since + "; asked to go on, not yet carried out"
        }
        if isPauseRequested, record.state == .running { return "asked for\(who), not yet carried out" }
        return record.pausedTime > .zero ? "for \(record.pausedTime.displayText) in all" : nil
    }

    private func stateText(on screen: Screen) -> String {
        // The state changes with the worker's receipt; what is asked for is said from the request on.
        let isAsked = !record.state.isEnd && request.map { $0.stage >= .terminate } ?? false
        let text = isAsked ? OutcomeText.interrupting(on: screen) : OutcomeText.line(record, on: screen)
        return "\(record.state.rawValue)  \(text)"
    }

    private func workerText(on screen: Screen) -> String? {
        guard let name = record.worker.map({ screen.shown($0, limit: 128) }) else { return nil }
        guard let worker else { return record.state.isEnd ? name : "\(name) (not on record)" }
        let host = worker.host.isEmpty ? "" : " on \(screen.shown(worker.host, limit: 80))"
        let isSilent = !record.state.isEnd && WorkerTable.isSilent(worker, now: now)
        return name + host + (isSilent ? ", silent for \((now - worker.seenAt).displayText)" : "")
    }

    private var missingReceipt: String { record.state.isEnd ? ", never acknowledged" : ", not yet acknowledged" }

    private func interruptFields(on screen: Screen) -> [(name: String, value: String?)] {
        let stage = record.stage ?? request?.stage
        guard let stage else { return [] }
        let reason = record.reason ?? request?.reason
        let requested = record.requestedAt ?? request?.triggeredAt
        func after(_ instant: Timestamp?) -> String? {
            guard let instant, let requested else { return nil }
            return "after \(max(.zero, instant - requested).displayText)"
        }
        // The worker forces the end when the grace period is over, counted from when it took the request in.
        var untilForced: Duration? {
            guard !record.state.isEnd, stage == .terminate, let acknowledged = record.acknowledgedAt,
                let gracePeriod = request?.gracePeriod ?? record.gracePeriod
            else { return nil }
            return gracePeriod + record.moreTime - (now - acknowledged)
        }
        let via = record.way.map { " via \($0.rawValue)" } ?? ""
        return [
            ("Interrupted", reason.map { screen.shown($0.displayText, limit: 80) }),
            ("Stage", "\(stage.rawValue) \(stage.name)" + (record.stage == nil ? missingReceipt : "")),
            ("Message", (record.message ?? request?.message).map { screen.shown($0, limit: 1_000) }),
            ("Asked by", (record.triggeredBy ?? request?.triggeredBy).map { screen.shown($0, limit: 200) }),
            ("Asked at", requested?.rfc3339),
            ("Acknowledged", after(record.acknowledgedAt).map { $0 + via }),
            ("Forced", untilForced.map { $0 > .zero ? "in \($0.displayText)" : "now" }),
            ("More time", record.moreTime > .zero ? "\(record.moreTime.displayText), as the job asked" : nil),
            ("Holdout", record.holdout(at: now).map { screen.fitted($0.text) }),
            ("Confirmed", after(record.confirmedAt)),
            ("Late", record.isLateInterrupt ? "the run ended by itself before the interrupt could act" : nil),
        ]
    }
}

extension String? {
    fileprivate static func + (left: String?, right: String) -> String? { left.map { $0 + right } }
}

extension LastLine {
    /// The last line that is not empty among the newest pieces of output; `nil` when there is none.
    static func of(_ entries: [OutputEntry]) -> String? {
        var line = LastLine()
        for case .chunk(let chunk) in entries { chunk.bytes.withUnsafeBytes { line.append($0) } }
        return line.text
    }
}
