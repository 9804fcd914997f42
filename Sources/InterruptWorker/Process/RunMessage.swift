internal import FoundationEssentials
internal import InterruptCore

/// What a job tells its worker through the pipe of its run directory: one JSON object a line.
enum RunMessage: Equatable {
    /// How far it is: `{"progress": 0.4, "message": "page 12 of 30"}`.
    case progress(WorkProgress)
    /// It was asked to end and needs this long from now on: `{"more_time": "30s"}`.
    case moreTime(Duration)
    /// From where it could go on: `{"checkpoint": "page 12"}`.
    case checkpoint(String)

    /// The longest line, in bytes: what a pipe takes in one piece, so that lines of several processes do not mix.
    static let longestLine = 4_096

    private struct Line: Decodable {
        var progress: Double?
        var message: String?
        var more_time: String?
        var checkpoint: String?
    }

    /// Reads a line, which may say several things at once.
    static func messages(in line: [UInt8]) throws(RunMessageError) -> [RunMessage] {
        guard let said = try? JSONDecoder().decode(Line.self, from: Data(line)) else {
            throw RunMessageError(
                line,
                "is no JSON object of progress (a number), message, more_time, checkpoint (texts)"
            )
        }
        var messages: [RunMessage] = []
        if let part = said.progress {
            do throws(ProgressError) {
                messages.append(.progress(try WorkProgress(part, said.message)))
            } catch {
                throw RunMessageError(text: "\(error)")
            }
        }
        if let text = said.more_time {
            do throws(DurationError) {
                messages.append(.moreTime(try Duration(text: text)))
            } catch {
                throw RunMessageError(text: "more_time: \(error)")
            }
        }
        if let text = said.checkpoint { messages.append(.checkpoint(text)) }
        guard !messages.isEmpty else {
            throw RunMessageError(line, "has neither progress nor more_time nor checkpoint")
        }
        return messages
    }
}

/// Why a line of a job is no message: one sentence. The line itself is escaped in it.
struct RunMessageError: Error, Equatable {
    let text: String

    init(text: String) {
        self.text = text
    }

    fileprivate init(_ line: [UInt8], _ problem: String) {
        text = "'\(String(decoding: line.prefix(200), as: UTF8.self).escapedForDisplay(limit: 80))' \(problem)"
    }
}

/// Puts lines together from what is read piece by piece.
struct RunMessageLines {
    private var line: [UInt8] = []
    private var isTooLong = false

    /// The lines that `bytes` complete, empty ones left out.
    mutating func take(_ bytes: some Sequence<UInt8>) -> [Result<[RunMessage], RunMessageError>] {
        var complete: [Result<[RunMessage], RunMessageError>] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if line.count < RunMessage.longestLine { line.append(byte) } else { isTooLong = true }
                continue
            }
            if isTooLong {
                complete.append(.failure(RunMessageError(line, "is longer than \(RunMessage.longestLine) bytes")))
            } else if !line.isEmpty {
                do throws(RunMessageError) {
                    complete.append(.success(try RunMessage.messages(in: line)))
                } catch {
                    complete.append(.failure(error))
                }
            }
            line.removeAll(keepingCapacity: true)
            isTooLong = false
        }
        return complete
    }
}
