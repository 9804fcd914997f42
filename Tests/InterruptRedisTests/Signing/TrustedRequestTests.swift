import InterruptCore
import InterruptJSON
import Testing

@testable import InterruptRedis

private let key = SigningKey(Array("correct horse battery staple".utf8))!
private let run = RunID(rawValue: "r1")

private func message(_ signed: [String], seen: [String]? = nil, id: String? = nil) -> SignalMessage {
    var message = SignalMessage()
    message.signed = signed.isEmpty ? nil : TextList(signed)
    message.seen = seen.map(TextList.init)
    message.requestID = id
    return message
}

@Suite struct `Of what is asked of a run, a worker with a key honours` {
    private var trusted = TrustedRequests(key: key, namespace: "interrupt")

    private func text(_ signal: InterruptSignal, for run: RunID = run, namespace: String = "interrupt") -> String {
        signal.signed(for: run, namespace: namespace, with: key)
    }

    @Test mutating func `what is signed for that run, word for word, whatever stands around it`() {
        let signal = InterruptSignal(
            stage: .kill,
            reason: .priorityOverride,
            message: "3:a,\n\"ü\" \u{1B}",
            triggeredBy: "ann@box",
            triggeredAt: Timestamp(milliseconds: 7),
            savesCheckpoint: false,
            gracePeriod: .milliseconds(250),
            source: .remote,
            target: .all
        )
        var around = message([text(signal)], seen: [signal.id.rawValue], id: signal.id.rawValue)
        (around.stage, around.reason, around.graceMilliseconds, around.run) = (1, "custom", 9, "r2")
        around.triggeredAtMilliseconds = 7
        #expect(trusted.interrupts(in: around, source: .remote, for: run) == .init(signals: [signal]))
        #expect(trusted.refusedCount == 0)
    }

    @Test mutating func `nothing that is signed for another run, purpose or namespace, was changed or cut`() {
        let signal = InterruptSignal(message: "stop")
        let right = text(signal)
        let pause = PauseRequest(.pause).signed(for: run, namespace: "interrupt", with: key)!
        let submission = SignedRun(namespace: "interrupt", environment: []) { $0 == "run" ? Array("r1".utf8) : nil }
        let asRun = "\(submission.signature(with: key)) 5:run-1,9:interrupt,3:run,2:r1,"
        let cases: [(String, SignedRequest.Refusal)] = [
            (text(signal, for: RunID(rawValue: "r2")), .elsewhere), (text(signal, namespace: "other"), .elsewhere),
            (pause, .elsewhere), (asRun, .elsewhere), (right.replacing("5:stage,1:2,", with: "5:stage,1:3,"), .wrong),
            (right.replacing("4:stop", with: "4:stay"), .wrong), (String(right.dropLast()), .wrong),
            (String(right.dropFirst()), .wrong), (right + " ", .wrong), (" " + right, .wrong), ("", .wrong),
            (" ", .wrong),
            (String(right.prefix(64)), .wrong), (String(right.prefix(65)), .wrong),
        ]
        for (index, (text, refusal)) in cases.enumerated() {
            let found = trusted.interrupts(in: message([text], id: "q\(index)"), source: .remote, for: run)
            #expect(found.signals.isEmpty && found.refusal != nil, "\(text)")
            var alone = TrustedRequests(key: key, namespace: "interrupt")
            #expect(alone.interrupts(in: message([text]), source: .remote, for: run).refusal == refusal, "\(text)")
        }
        var other = TrustedRequests(key: SigningKey(Array("another key of ours".utf8))!, namespace: "interrupt")
        #expect(other.interrupts(in: message([right]), source: .remote, for: run).refusal == .wrong)
    }

    @Test mutating func `what is signed beside what is not, and counts that once in all its ways`() {
        let signal = InterruptSignal()
        let mixed = message([text(signal)], seen: ["forged", signal.id.rawValue], id: "forged")
        let first = trusted.interrupts(in: mixed, source: .remote, for: run)
        #expect(first.signals.map(\.id) == [signal.id] && first.refusal == .unsigned)
        for _ in 1...3 {
            let again = trusted.interrupts(in: mixed, source: .flag, for: run)
            #expect(again.signals.map(\.id) == [signal.id] && again.refusal == nil)
        }
        #expect(trusted.refusedCount == 1)
        _ = trusted.interrupts(in: message([], id: "second"), source: .message, for: run)
        // What has no id may be another one each time.
        for _ in 1...2 { _ = trusted.interrupts(in: message([]), source: .message, for: run) }
        #expect(trusted.refusedCount == 4)
    }

    @Test mutating func `of a message to many what is signed for it, and counts it when something else is asked`() {
        let other = text(InterruptSignal(), for: RunID(rawValue: "r2"))
        let signal = InterruptSignal()
        let toMany = message([other, text(signal)])
        #expect(trusted.interrupts(in: toMany, source: .message, for: run).signals.map(\.id) == [signal.id])
        #expect(trusted.refusedCount == 0)
        var named = message([other])
        named.run = run.rawValue
        #expect(trusted.interrupts(in: named, source: .message, for: run).refusal == .elsewhere)
        #expect(trusted.interrupts(in: message([other]), source: .flag, for: run) == .init())
        #expect(trusted.refusedCount == 1)
    }

    @Test mutating func `its own, which it has put on record itself, without counting them`() {
        trusted.note(RequestID(rawValue: "timeout"), for: run)
        let found = trusted.interrupts(in: message([], seen: ["timeout"], id: "timeout"), source: .remote, for: run)
        #expect(found == .init() && trusted.refusedCount == 0)
    }

    @Test mutating func `each pause until it is taken back, and never again`() {
        func value(_ request: PauseRequest, for other: RunID = run) -> [UInt8] {
            let text = request.signed(for: other, namespace: "interrupt", with: key)
            return Array(#"{"v":1,"request_id":"x","at_ms":1,"signed":["\#(text ?? "")"]}"#.utf8)
        }
        let (one, two) = (PauseRequest(.pause), PauseRequest(.pause))
        #expect(trusted.isToBePaused(by: value(one), run) == (true, nil))
        #expect(trusted.isToBePaused(by: value(one), run) == (true, nil))
        #expect(trusted.isToBePaused(by: nil, run) == (false, nil))
        #expect(trusted.isToBePaused(by: value(one), run) == (false, .used))
        #expect(trusted.isToBePaused(by: value(two), run) == (true, nil))
        // In the place of the one that holds.
        #expect(trusted.isToBePaused(by: Array(#"{"v":1}"#.utf8), run) == (false, .unsigned))
        #expect(trusted.isToBePaused(by: value(two), run) == (false, .used))
        #expect(
            trusted.isToBePaused(by: value(PauseRequest(.pause), for: RunID(rawValue: "r2")), run) == (
                false, .elsewhere
            )
        )
        #expect(trusted.isToBePaused(by: Array("nonsense".utf8), run) == (false, .unsigned))
        #expect(trusted.refusedCount == 5)
        #expect(PauseRequest(.resume).signed(for: run, namespace: "interrupt", with: key) == nil)
    }
}
