import Glibc
import InterruptCore
import InterruptRedis
import Logging

/// Writes one line a record to standard error, as text or as JSON. Nothing in a record can forge a line or steer a
/// terminal.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let format: DaemonSettings.LogFormat

    init(format: DaemonSettings.LogFormat, level: Logger.Level) {
        self.format = format
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
        let line =
            switch format {
            case .text:
                "\(Timestamp.now.rfc3339) \(event.level) \("\(event.message)".escapedForDisplay())"
                    + fields.sorted { $0.key < $1.key }
                    .map { " \($0.key)=\"\("\($0.value)".escapedForDisplay())\"" }.joined()
            case .json:
                JSONValue.object(
                    fields.mapValues { .string("\($0)") }.merging([
                        "at": .string(Timestamp.now.rfc3339), "level": .string("\(event.level)"),
                        "message": .string("\(event.message)"),
                    ]) { $1 }
                ).line
            }
        StandardError.write(line + "\n")
    }
}

/// Standard error, written in whole lines. A reader that is gone is no reason to stop: the write fails and is forgotten.
enum StandardError {
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
                if count <= 0 { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
