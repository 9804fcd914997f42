import InterruptCore
import InterruptRedis

/// How a run ended, in words and as an exit status.
enum OutcomeText {
    /// How it is going, such as `Running...`, and in the end the final line, such as
    /// `✓ Command completed successfully`.
    static func line(_ record: RunRecord, on screen: Screen) -> String {
        switch record.state {
        case .queued: return "Queued..."
        case .running: return "Running..."
        case .paused: return "Paused"
        case .cancelling: return interrupting(on: screen)
        case .completed: return "\(screen.sign(.success)) Command completed successfully"
        case .failed: return "\(screen.sign(.failure)) \(failure(record, on: screen))"
        case .interrupted: return "\(screen.sign(.interrupt)) \(interruption(record, on: screen))"
        case .lost: return "\(screen.sign(.failure)) \(loss(record, on: screen))"
        }
    }

    /// The final line, and what was said with the interrupt that ended it: which limit it was, why somebody wanted it.
    static func lineWithMessage(_ record: RunRecord, on screen: Screen) -> String {
        guard record.state == .interrupted, let message = record.message, !message.isEmpty else {
            return line(record, on: screen)
        }
        return "\(line(record, on: screen)): \(screen.shown(message, limit: 300))"
    }

    /// The final line of a run, and how it goes on when the job is tried again.
    static func lineWithRetry(_ record: RunRecord, on screen: Screen) -> String {
        let line = lineWithMessage(record, on: screen)
        guard record.nextRun != nil else { return line }
        return "\(line); trying again (attempt \(record.attempt + 1) of \(record.retries + 1))"
    }

    /// What went wrong around a run rather than in it, which its own output cannot say; `nil` when nothing did.
    static func trouble(_ record: RunRecord, on screen: Screen) -> String? {
        switch record.state {
        case .failed where record.error != nil: failure(record, on: screen)
        case .lost: loss(record, on: screen)
        default: nil
        }
    }

    private static func loss(_ record: RunRecord, on screen: Screen) -> String {
        let why = record.error.map { ": " + screen.shown($0, limit: 200) } ?? ""
        let pid = record.pid.map { " (pid \($0))" } ?? ""
        return "Command\(pid) lost with its worker\(why)"
    }

    private static func failure(_ record: RunRecord, on screen: Screen) -> String {
        if let error = record.error {
            let code = record.exitCode.map { " (exit code \($0))" } ?? ""
            return "Command failed: \(screen.shown(error, limit: 300))\(code)"
        }
        if let signal = record.termSignal {
            let why = record.ranOutOfMemory ? "out of memory (\(kills(record))), " : ""
            return "Command failed: \(why)ended by \(SignalName.of(signal))\(core(record))"
        }
        let why = record.ranOutOfMemory ? ", out of memory (\(kills(record)))" : ""
        return record.exitCode.map { "Command failed with exit code \($0)\(why)" } ?? "Command failed"
    }

    private static func kills(_ record: RunRecord) -> String {
        "the kernel ended \(record.memoryKills == 1 ? "a process" : "\(record.memoryKills) processes")"
    }

    static func interrupting(on screen: Screen) -> String { "\(screen.sign(.interrupt)) Interrupting..." }

    /// Reason, stage, signal and duration, as far as they are known.
    static func interruption(_ record: RunRecord, on screen: Screen) -> String {
        var parts: [String] = []
        if let reason = record.reason { parts.append("reason \(screen.shown(reason.displayText, limit: 60))") }
        if let stage = record.stage { parts.append("stage \(stage.name)") }
        if let signal = record.termSignal {
            parts.append(SignalName.of(signal) + core(record))
        } else if let code = record.exitCode {
            parts.append("exit code \(code)")
        }
        if record.startedAt == nil { parts.append("before it started") }
        if let from = record.requestedAt, let to = record.confirmedAt { parts.append("in \((to - from).displayText)") }
        let what =
            switch (record.reason, record.stage) {
            case (.userCancelled, .kill): "Execution terminated by user"
            case (.userCancelled, _): "Command interrupted by user"
            default: "Command interrupted"
            }
        return what + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))")
    }

    private static func core(_ record: RunRecord) -> String { record.dumpedCore ? ", core dumped" : "" }

    /// What an ended run is called when it is not what was asked about: `completed, 3.2s ago`.
    static func ended(_ record: RunRecord, now: Timestamp) -> String {
        let ago = record.endedAt.map { ", \((now - $0).displayText) ago" } ?? ""
        return record.state.rawValue + ago
    }

    /// The exit status of `run` and `wait`: the job's own.
    static func exitStatus(_ record: RunRecord) -> Int32 {
        switch record.state {
        case .completed: return 0
        case .interrupted: return record.reason == .timeout ? 124 : 130
        case .failed:
            // 0 of a leader whose group was not ended is no success.
            if let code = record.exitCode, code != 0 { return code }
            if record.handler != nil, record.error != nil { return CommandStatus.failed.rawValue }
            return record.termSignal.map { 128 + $0 } ?? CommandStatus.ownTrouble.rawValue
        case .queued, .running, .paused, .cancelling, .lost: return CommandStatus.ownTrouble.rawValue
        }
    }
}
