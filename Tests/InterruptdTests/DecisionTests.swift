import InterruptCore
import InterruptWorker
import Logging
import Synchronization
import Testing

@testable import interruptd

@Suite struct `Presses of Ctrl-C` {
    private struct Moment: InstantProtocol {
        var milliseconds: Int
        func advanced(by duration: Duration) -> Moment {
            Moment(milliseconds: milliseconds + Int(duration.milliseconds))
        }
        func duration(to other: Moment) -> Duration { .milliseconds(other.milliseconds - milliseconds) }
        static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }
    }

    @Test(arguments: [
        ([0], [InterruptStage.drain]), ([0, 300, 600], [.drain, .terminate, .kill]), ([0, 20, 50], [.drain]),
        ([0, 299], [.drain]), ([0, 1_000, 2_000, 3_000], [.drain, .terminate, .kill]),
        ([0, 100, 500, 600, 1_000], [.drain, .terminate, .kill]), (Array(stride(from: 0, to: 3_000, by: 30)), [.drain]),
        (Array(stride(from: 0, to: 3_000, by: 250)) + [3_400], [.drain, .terminate]),
    ])
    func `each one after a pause is a stage, and holding the key is one press`(
        presses: [Int],
        stages: [InterruptStage]
    ) {
        var counter = PressCounter<Moment>()
        #expect(presses.compactMap { counter.press(at: Moment(milliseconds: $0)) } == stages)
        #expect(counter.stage == stages.last)
    }
}

@Suite struct `The text in a terminal` {
    private let worker: WorkerDescription

    init() throws {
        worker = WorkerDescription(
            name: try Name("w"),
            instance: "i",
            host: "h",
            process: ProcessIdentity(boot: "b", pid: 1, start: 1),
            slots: 2,
            version: "1",
            queues: [try Name("default")],
            lease: .seconds(30)
        )
    }

    private func lines(
        from old: InterruptStage?,
        to new: InterruptStage,
        held: Int,
        isDetailed: Bool = false
    ) -> [String] {
        TerminalText.lines(.stage(from: old, to: new, held: held), worker, isDetailed: isDetailed, isPlain: false)
    }

    @Test(arguments: InterruptStage.allCases)
    func `announces a stage once, with what runs, and then the escalation`(stage: InterruptStage) {
        let previous = InterruptStage(rawValue: stage.rawValue - 1)
        let lines = lines(from: previous, to: stage, held: 2)
        #expect(lines.first == StageTexts.announcement(stage) + " (2 running)")
        #expect(lines.count { $0.contains(StageTexts.announcement(stage)) } == 1)
        #expect(lines[1] == StageTexts.escalation(from: previous, to: stage))
        #expect(lines.dropFirst(2) == (StageTexts.hint(after: stage).map { [$0] } ?? [])[...])
    }

    @Test(arguments: InterruptStage.allCases)
    func `says what the next press does only while something runs, and never after the last stage`(
        stage: InterruptStage
    ) {
        #expect(lines(from: nil, to: stage, held: 0).allSatisfy { !$0.contains("Press Ctrl+C") })
        #expect(lines(from: nil, to: stage, held: 1).contains { $0.contains("Press Ctrl+C") } == (stage != .kill))
    }

    @Test(arguments: InterruptStage.allCases)
    func `explains the stage only when that is asked for`(stage: InterruptStage) {
        let plain = lines(from: nil, to: stage, held: 1)
        let detailed = lines(from: nil, to: stage, held: 1, isDetailed: true)
        let more = [StageTexts.heading(stage)] + StageTexts.details(stage).map { "  - \($0)" }
        #expect(detailed == Array(plain[..<2] + more + plain[2...]))
        #expect(!plain.contains(StageTexts.heading(stage)))
    }

    @Test func `says when, in front of every line`() {
        let written = Mutex<[String]>([])
        var reporter = Reporter(
            logger: Logger(label: "test"),
            description: worker,
            isTerminal: true,
            isDetailed: false,
            isPlain: false
        )
        reporter.write = { text in written.withLock { $0.append(text) } }
        reporter.report(.stage(from: nil, to: .drain, held: 1))
        reporter.report(waiting: 3)
        let lines = written.withLock { $0 }
        #expect(lines.count == 4)
        #expect(lines.allSatisfy { $0.wholeMatch(of: /\d\d:\d\d:\d\d .+\n/) != nil }, "\(lines)")
        #expect(lines.last?.hasSuffix(" 3 queued: they stay in the queue\n") == true)
    }
}

@Suite struct `Log lines` {
    private let evil = "a\nerror forged\u{1B}[2J\u{9B}31m\u{202E}\" level=\"error\r\u{2028}\u{85}"

    private func line(_ message: String, _ fields: [String: String] = [:]) -> LogLine {
        LogLine(at: Timestamp(milliseconds: 0), level: .info, message: message, fields: fields)
    }

    @Test func `text has the time, the level, the message and the fields in order`() {
        #expect(
            line("ready", ["b": "2", "a": "x y"]).text(as: .text)
                == "1970-01-01T00:00:00.000Z info ready a=\"x y\" b=\"2\""
        )
    }

    @Test func `JSON has them as members, and a field cannot take the place of ours`() {
        #expect(
            line("ready", ["level": "error", "run": "r"]).text(as: .json)
                == #"{"at":"1970-01-01T00:00:00.000Z","level":"info","message":"ready","run":"r"}"#
        )
    }

    @Test(arguments: DaemonSettings.LogFormat.allCases)
    func `nothing forges a line, or steers a terminal`(format: DaemonSettings.LogFormat) {
        let text = line(evil, ["key": evil, evil: "value"]).text(as: format)
        let steering = text.unicodeScalars.filter {
            $0.value < 0x20 || (0x7F...0x9F).contains($0.value) || $0.properties.isBidiControl || $0.value == 0x2028
        }
        #expect(steering.isEmpty)
    }

    @Test func `a quote in a value does not end it`() {
        let text = line("m", ["a": "x\" level=\"error"]).text(as: .text)
        #expect(text.hasSuffix(#" a="x\" level=\"error""#))
    }
}
