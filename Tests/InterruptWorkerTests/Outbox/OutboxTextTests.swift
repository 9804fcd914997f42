import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `An outcome as text` {
    static let full = WaitingOutcome(
        run: RunID(rawValue: "r1"),
        instance: "i1",
        receipts: [
            WaitingOutcome.Receipt(
                signal: InterruptSignal(
                    id: RequestID(rawValue: "q1"),
                    stage: .drain,
                    reason: .timeout,
                    message: "after \"5 s\"\n",
                    triggeredBy: "ops",
                    triggeredAt: Timestamp(milliseconds: 1_790_000_000_123),
                    savesCheckpoint: false,
                    gracePeriod: .milliseconds(1_500),
                    source: .timeout,
                    target: try? InterruptTarget("group:g")
                ),
                way: .local,
                takenAt: Timestamp(milliseconds: 1_790_000_000_124)
            )
        ],
        ending: RunEnding(
            state: .interrupted,
            exitCode: 3,
            termSignal: 15,
            dumpedCore: true,
            isLateInterrupt: true,
            error: "why",
            memoryKills: 2,
            hookErrors: ["a", "b"],
            output: RunOutput(byteCount: 9, file: "/f", keptFrom: 1, lastLine: "last")
        ),
        endedAt: Timestamp(milliseconds: 1_790_000_000_125)
    )

    /// What a worker of version 1 has written is read for good: this text never changes.
    static let fullText = """
        {"ending":{"at_ms":1790000000125,"core_dumped":true,"error":"why","exit_code":3,"hook_errors":["a","b"],"late_interrupt":true,\
        "oom_kills":2,"output":{"bytes":9,"file":"/f","kept_from":1,"last":"last"},"state":"interrupted",\
        "term_signal":15},"instance":"i1","receipts":[{"at_ms":1790000000124,"signal":{"grace_ms":1500,"message":"after \\"5 s\\"\\n",\
        "reason":"timeout","request_id":"q1","save_checkpoint":false,"source":"timeout","stage":1,"target":"group:g",\
        "triggered_at_ms":1790000000123,"triggered_by":"ops"},"via":"local"}],"run":"r1","v":1}
        """

    private func read(_ text: String) throws -> WaitingOutcome { try WaitingOutcome(text: Array(text.utf8)) }

    @Test func `has a form that stays`() throws {
        #expect(String(decoding: Self.full.text, as: UTF8.self) == Self.fullText)
        #expect(try read(Self.fullText) == Self.full)
    }

    @Test func `says the same when it is read, whatever is in it`() throws {
        let texts = ["", "\0\u{1}\r\n\t\\\"/", "ü😀\u{202E}\u{FEFF}", String(repeating: "x", count: 100_000)]
        for (text, way) in zip(texts, DeliveryWay.allCases) {
            for source in InterruptSignal.Source.allCases {
                var signal = InterruptSignal(stage: .kill, reason: .init(rawValue: text), message: text, source: source)
                signal.triggeredAt = Timestamp(milliseconds: signal.triggeredAt.milliseconds)
                let receipt = WaitingOutcome.Receipt(signal: signal, way: way)
                var outcome = WaitingOutcome(run: .random(), instance: "i", receipts: [receipt, receipt])
                #expect(try WaitingOutcome(text: outcome.text) == outcome)
                for state in RunState.allCases where state.isEnd {
                    let output = RunOutput(byteCount: .max, keptFrom: .max, lastLine: text)
                    outcome.ending = RunEnding(state: state, exitCode: .min, error: text, output: output)
                    #expect(try WaitingOutcome(text: outcome.text) == outcome)
                }
            }
        }
    }

    @Test func `passes over names that it does not know`() throws {
        let more = Self.fullText.replacing("\"v\":1}", with: "\"v\":1,\"later\":[{}]}")
        #expect(try read(more) == Self.full)
    }

    @Test(arguments: [
        ("", "not the JSON"), ("[]", "not the JSON"), ("{}", "not the JSON"), ("{\"v\":1}", "not the JSON"),
        ("{\"v\":2,\"what\":1}", "version 2"), ("{\"v\":0}", "version 0"),
        ("{\"v\":1,\"run\":\"\",\"instance\":\"i\",\"receipts\":[]}", "no run"),
        ("{\"v\":1,\"run\":\"r\",\"instance\":\"i\",\"receipts\":[],\"ending\":{\"state\":\"running\"}}", "not an end"),
        ("{\"v\":1,\"run\":\"r\",\"instance\":\"i\",\"receipts\":[],\"ending\":{\"state\":\"gone\"}}", "not an end"),
        ("{\"v\":1,\"run\":\"r\",\"instance\":\"i\",\"receipts\":[{\"signal\":{},\"via\":\"push\"}]}", "no interrupt"),
        (fullText.replacing("\"stage\":1", with: "\"stage\":4"), "no interrupt"),
        (fullText.replacing("\"via\":\"local\"", with: "\"via\":\"pigeon\""), "no interrupt"),
        (fullText.replacing("\"exit_code\":3", with: "\"exit_code\":3000000000"), "not the JSON"),
    ])
    func `that is none says why`(text: String, why: String) {
        let error = #expect(throws: MalformedOutcome.self) { try read(text) }
        #expect(error?.reason.contains(why) == true, "\(error?.reason ?? "")")
    }

    @Test func `that is cut, deep or random is none, and never crashes`() {
        let whole = Array(Self.fullText.utf8)
        for end in 0..<whole.count {
            #expect(throws: MalformedOutcome.self) { try WaitingOutcome(text: Array(whole[..<end])) }
        }
        let deep = String(repeating: "{\"v\":", count: 10_000) + "1" + String(repeating: "}", count: 10_000)
        #expect(throws: MalformedOutcome.self) { try read(deep) }
        for _ in 0..<1_000 {
            let bytes = (0..<Int.random(in: 0..<200)).map { _ in UInt8.random(in: .min ... .max) }
            #expect(throws: MalformedOutcome.self) { try WaitingOutcome(text: bytes) }
        }
    }
}
