import InterruptCore
import InterruptRedis
import Logging
import Synchronization

/// The level below which nothing is logged, shared by all loggers of the daemon so that it can change while they live.
final class LogLevel: Sendable {
    private let level: Mutex<Logger.Level>

    init(_ level: Logger.Level) { self.level = Mutex(level) }

    var current: Logger.Level {
        get { level.withLock { $0 } }
        set { level.withLock { $0 = newValue } }
    }
}

/// Writes one line a record to standard error, as text or as JSON. Nothing in a record can forge a line or a field, or
/// steer a terminal.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    private let format: DaemonSettings.LogFormat
    private let sharedLevel: LogLevel
    private var ownLevel: Logger.Level?

    init(format: DaemonSettings.LogFormat, level: LogLevel) {
        self.format = format
        sharedLevel = level
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? sharedLevel.current }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
        let line = LogLine(at: .now, level: event.level, message: "\(event.message)", fields: fields)
        StandardError.write(line.text(as: format) + "\n") { count in
            let fields = ["lines": "\(count)"]
            let gap = LogLine(at: .now, level: .warning, message: "left out, nobody read them", fields: fields)
            return gap.text(as: format) + "\n"
        }
    }
}

/// One record as it is written.
struct LogLine {
    var at: Timestamp
    var level: Logger.Level
    var message: String
    var fields: [String: String]

    /// The record on one line, without its end.
    func text(as format: DaemonSettings.LogFormat) -> String {
        switch format {
        case .text:
            let fields = fields.sorted { $0.key < $1.key }.map { name, value in
                " \(name.escapedForDisplay())=\"\(value.escapedForDisplay().replacing("\"", with: "\\\""))\""
            }
            return "\(at.rfc3339) \(level) \(message.escapedForDisplay())\(fields.joined())"
        case .json:
            let own = ["at": at.rfc3339, "level": "\(level)", "message": message]
            return JSONValue.object(fields.merging(own) { $1 }.mapValues(JSONValue.string)).line.escapedInJSON
        }
    }
}

extension String {
    /// JSON escapes for what JSON allows as it is and a terminal obeys: DEL, C1 and bidirectional controls, separators.
    fileprivate var escapedInJSON: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar.value {
            case 0x7F...0x9F, 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
