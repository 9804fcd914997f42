import InterruptCore
import InterruptRedis

/// One entry of the history as a line for people.
enum HistoryLine {
    static func of(_ entry: HistoryEntry, on screen: Screen) -> String {
        let job = entry.fields["job"].flatMap { $0.isEmpty ? nil : $0 } ?? entry.fields["target"] ?? ""
        let head = [
            ClockText.of(entry.at), screen.shown(entry.event, limit: 20), screen.shown(job, limit: 128),
        ]
        let words = head.filter { !$0.isEmpty } + [detail(entry, on: screen)]
        let line = words.joined(separator: "  ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    private static func detail(_ entry: HistoryEntry, on screen: Screen) -> String {
        func field(_ name: String, limit: Int = 200) -> String? {
            entry.fields[name].flatMap { $0.isEmpty ? nil : screen.shown($0, limit: limit) }
        }
        let reason = entry.fields["reason"].flatMap { reason in
            reason.isEmpty ? nil : screen.shown(InterruptReason(rawValue: reason).displayText, limit: 200)
        }
        let stage = field("stage").map { number in
            Int(number).flatMap(InterruptStage.init)?.name ?? "stage \(number)"
        }
        let who = field("triggered_by", limit: 80).map { "by \($0)" }
        let message = field("message", limit: 400).map { "\"\($0)\"" }
        let latency = field("latency_ms").flatMap(Int64.init).map { "in \(Duration.milliseconds($0).displayText)" }
        let handler = field("handler").map { "handler \($0)" }
        switch entry.event {
        case "ended":
            return ended(
                field: { field($0) },
                reason: reason,
                stage: stage,
                who: who,
                latency: latency,
                message: message
            )
        case "acknowledged":
            return join([stage, field("via").map { "via \($0)" }, latency, field("worker").map { "worker \($0)" }])
        case "submitted": return join([field("queue").map { "queue \($0)" }, handler, who])
        case "gate_closed" where entry.fields["kind"] == "pause", "gate_opened" where entry.fields["kind"] == "pause":
            return join(["pause", who])
        case "holdout":
            let elapsed = field("elapsed_ms").flatMap(Int64.init) ?? 0
            let holdout = Holdout(
                survivors: entry.fields["survivors"].flatMap { $0.isEmpty ? nil : $0 },
                section: entry.fields["section"].flatMap { $0.isEmpty ? nil : $0 },
                lastCheckpoint: entry.fields["checkpoint"].flatMap { $0.isEmpty ? nil : $0 },
                elapsed: .milliseconds(elapsed)
            )
            return screen.fitted(holdout.text)
        case "checkpoint": return entry.fields["checkpoint"].map { NoteText.of(.checkpoint($0), on: screen) } ?? ""
        case "more_time":
            let length = field("more_time_ms").flatMap(Int64.init)
            return length.map { NoteText.of(.moreTime(.milliseconds($0)), on: screen) } ?? ""
        case "started", "worker_started", "worker_left", "worker_back":
            return join([field("worker").map { "worker \($0)" }])
        case "worker_silent":
            return join([field("worker").map { "worker \($0)" }, field("observer").map { "seen by \($0)" }])
        case "retried":
            let delay = field("delay_ms").flatMap(Int64.init).map { "in \(Duration.milliseconds($0).displayText)" }
            return join([field("attempt").map { "attempt \($0)" }, delay])
        default: return join([stage, reason, who, message])
        }
    }

    private static func ended(
        field: (String) -> String?,
        reason: String?,
        stage: String?,
        who: String?,
        latency: String?,
        message: String?
    ) -> String {
        let state = field("state") ?? ""
        let signal = field("term_signal").flatMap { Int32($0) }.map(SignalName.of)
        let code = field("exit_code").map { "exit code \($0)" }
        let handler = field("handler").map { "handler \($0)" }
        let lastOutput = field("last_output").map { "last output \"\($0)\"" }
        if state == "interrupted" {
            let cause = "Interrupted: \(reason ?? "unknown reason")"
            return join([cause, stage, handler, signal ?? code, latency, who, message, lastOutput])
        }
        let late = field("late_interrupt") == "1" ? "the interrupt came too late" : nil
        return join([state, handler, signal ?? code, field("error"), late, lastOutput])
    }

    private static func join(_ parts: [String?]) -> String { parts.compactMap { $0 }.joined(separator: ", ") }
}

/// What a run has told of itself, for people.
enum NoteText {
    static func of(_ note: RunNote, on screen: Screen) -> String {
        switch note {
        case .checkpoint(let text): screen.fitted("\"\(text.escapedForDisplay(limit: 1_000))\"")
        case .moreTime(let length): "\(length.displayText) more, as it asked"
        }
    }
}

/// An instant for people: date and time in UTC, to the second.
enum ClockText {
    static func of(_ instant: Timestamp) -> String {
        String(instant.rfc3339.prefix(19)).replacing("T", with: " ")
    }
}

extension String {
    fileprivate func replacing(_ old: Character, with new: Character) -> String { String(map { $0 == old ? new : $0 }) }
}
