import Foundation
import InterruptCore
import Testing

@testable import InterruptJSON
@testable import InterruptRedis
@testable import InterruptWorker
@testable import interruptctl

/// What lies in flags and records, and what is published.
@Suite(.timeLimit(.minutes(10))) struct `JSON from elsewhere` {
    private static let signals = [
        "1", "true", "0", "{}", "{\"stage\":3}", "{\"target\":\"group:g\",\"stage\":1}",
        "{\"v\":1,\"request_id\":\"abc\",\"run\":\"r1\",\"job\":\"j\",\"target\":\"j\",\"stage\":2,\"reason\":\"timeout\","
            + "\"message\":\"too \\u00e9 long\",\"triggered_by\":\"ops\",\"triggered_at_ms\":1700000000123,"
            + "\"save_checkpoint\":true,\"grace_ms\":5000,\"source\":\"remote\",\"seen\":[\"abc\",\"def\"]}",
        "{\"probe\":\"w1-7\"}", "{\"save_checkpoint\":false,\"grace_ms\":0,\"reason\":\"disk_full\"}",
        "{\"stage\":999999999999999,\"v\":0}", "{\"escalated_by\":[{\"stage\":3}],\"stage\":2}",
    ]

    @Test func `is the same interrupt to both readers, reads back as written, or is refused in a line`() {
        var fuzzing = Fuzzing(Self.signals)
        fuzzing.run("an interrupt") { input, _ in
            if let scanned = SignalScanner.message(in: input) {
                let decoded = try? JSONDecoder().decode(SignalMessage.self, from: Data(input))
                if scanned != decoded { return .wrong("the scanner and the decoder differ: \(scanned)") }
            }
            do throws(MalformedSignal) {
                let message = try SignalMessage(json: input)
                let again = try SignalMessage(json: message.json)
                let signal = message.signal(source: .flag, newID: .random())
                let inRecord = try SignalMessage(json: SignalMessage(flag: signal).json)
                _ = (signal.gracePeriod?.displayText, signal.triggeredAt.rfc3339)
                return .accepted(if: again == message && inRecord.stage == signal.stage.rawValue, "\(message)")
            } catch {
                return .refused(error.reason)
            }
        }
    }

    @Test func `is a flag for the run that it names, nothing, or malformed`() {
        var fuzzing = Fuzzing(Self.signals)
        fuzzing.run("a flag") { input, _ in
            do throws(MalformedSignal) {
                let message = try FlagValue.read(input, for: RunID(rawValue: "r1"))
                return .accepted(if: message?.run == nil || message?.run == "r1", "is taken for another run")
            } catch {
                return .refused(error.reason)
            }
        }
    }

    @Test func `is an event that is shown in one line, or none`() {
        var fuzzing = Fuzzing([
            "{\"v\":1,\"event\":\"progress\",\"job\":\"j\",\"run\":\"r\",\"state\":\"running\",\"at_ms\":1700000000000,"
                + "\"stage\":2,\"progress\":0.5,\"progress_message\":\"x\",\"elapsed_ms\":1000}",
            "{\"event\":\"holdout\",\"job\":\"j\",\"run\":\"r\",\"state\":\"cancelling\",\"section\":\"s\",\"checkpoint\":\"c\","
                + "\"survivors\":\"7\",\"elapsed_ms\":9223372036854775807}",
            "{\"event\":\"more_time\",\"job\":\"j\",\"run\":\"r\",\"state\":\"running\",\"more_time_ms\":-5}",
        ])
        fuzzing.run("an event") { input, _ in
            guard let event = RunEvent(payload: input) else { return .refused }
            _ = (event.workProgress?.percentText, event.remaining?.displayText, event.note)
            let holdout = event.holdout?.text ?? ""
            let line = event.json.line
            return .accepted(if: line.isOnePlainLine && holdout.isOnePlainLine, line.debugDescription)
        }
    }

    @Test func `is what a job tells, or is refused in a line`() {
        var fuzzing = Fuzzing([
            "{\"progress\": 0.4, \"message\": \"page 12 of 30\"}", "{\"more_time\": \"30s\"}",
            "{\"checkpoint\": \"page 12\"}",
            "{\"progress\": 1}\n{\"checkpoint\":\"a\",\"more_time\":\"1d\"}\n",
        ])
        fuzzing.run("a job's message") { input, numbers in
            var pieces = RunMessageLines()
            let cut = numbers.below(input.count + 1)
            let results = pieces.take(input.prefix(cut)) + pieces.take(input.dropFirst(cut)) + pieces.take([0x0A])
            var whole = RunMessageLines()
            if whole.take(input + [0x0A]) != results { return .wrong("says something else in two pieces") }
            for case .failure(let error) in results {
                guard case .refused = Fuzzing.Verdict.refused(error.text) else { return .refused(error.text) }
            }
            return results.contains { if case .success = $0 { true } else { false } } ? .accepted : .refused
        }
    }
}
