import InterruptCore
import Testing

@testable import InterruptJSON

@Suite struct `A flag` {
    private func read(_ text: String) throws -> InterruptSignal? {
        try FlagValue.read(Array(text.utf8))?.signal(source: .flag, newID: RequestID(rawValue: "new"))
    }

    @Test(arguments: ["1", "true", "{}", "{\"stage\":2}", "{\"v\":1,\"whatever\":[1,{}]}", "{\"request_id\":\"\"}"])
    func `interrupts with the defaults of a plain request`(text: String) throws {
        let signal = try #require(try read(text))
        #expect(signal.stage == .terminate && signal.reason == .userCancelled && signal.savesCheckpoint)
        #expect(signal.id.rawValue == "new" && signal.message == nil && signal.source == .flag)
    }

    @Test(arguments: ["", "0", "false"])
    func `is down`(text: String) throws {
        #expect(try read(text) == nil)
    }

    @Test(arguments: [
        (" 1", "neither"), ("1 ", "neither"), ("TRUE", "neither"), ("2", "neither"), ("[]", "neither"),
        ("null", "neither"), ("\"1\"", "neither"), ("\u{0}\u{FF}\r\n", "neither"), ("{", "not JSON"),
        ("{\"stage\":2", "not JSON"), ("{} x", "not JSON"), ("{\"stage\":0}", "stage 0"), ("{\"stage\":4}", "stage 4"),
        ("{\"stage\":-1}", "stage -1"), ("{\"stage\":1.5}", ""), ("{\"stage\":\"two\"}", "stage"),
        ("{\"stage\":1e99}", ""), ("{\"v\":2}", "version 2"), ("{\"reason\":7}", "reason"),
        ("{\"message\":{}}", "message"), ("{\"grace_ms\":-1}", "grace_ms"), ("{\"message\":\"\\ud800\"}", "not JSON"),
        ("{\"save_checkpoint\":\"yes\"}", "save_checkpoint"),
    ])
    func `that is no interrupt says why without its content`(text: String, why: String) {
        let error = #expect(throws: MalformedSignal.self) { try read(text) }
        #expect(error?.reason.contains(why) == true, "\(error?.reason ?? "")")
        #expect(error?.reason.contains("yes") == false && error?.reason.contains("two") == false)
    }

    @Test func `that is huge, deep or random is refused and never crashes`() throws {
        let deep = String(repeating: "{\"a\":", count: 10_000) + "1" + String(repeating: "}", count: 10_000)
        #expect(throws: MalformedSignal.self) { try read(deep) }
        #expect(throws: MalformedSignal.self) { try SignalMessage(json: Array(deep.utf8)) }
        let huge = "{\"message\":\"" + String(repeating: "x", count: 10_000_000) + "\"}"
        #expect(throws: MalformedSignal.self) { try read(huge) }
        #expect(throws: MalformedSignal.self) { try SignalMessage(json: Array(huge.utf8)) }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let bytes = (0..<64).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(throws: MalformedSignal.self) { try FlagValue.read([UInt8(ascii: "{")] + bytes) }
        }
    }

    @Test func `with a field twice takes one of the two`() throws {
        let stage = try read("{\"stage\":2,\"stage\":3}")?.stage
        #expect(stage == .terminate || stage == .kill)
    }

    @Test func `of the largest size still gives a record that can be read`() throws {
        let message = String(repeating: "\\u0001", count: 10_000)
        let signal = try #require(try read("{\"message\":\"\(message)\",\"triggered_by\":\"me\"}"))
        let record = SignalMessage(flag: signal).json
        #expect(record.count > 10_000)
        #expect(try SignalMessage(json: record).message?.utf8.count == 10_000)
        let id = String(repeating: "i", count: 129)
        #expect(throws: MalformedSignal.self) { try read("{\"request_id\":\"\(id)\"}") }
        #expect(try read("{\"request_id\":\"\(id.dropLast())\"}")?.id.rawValue.count == 128)
    }
}

@Suite struct `A signal as JSON` {
    @Test(arguments: InterruptReason.Kind.allCases.map(\.rawValue) + ["disk_full", "", "ümläut", "a b"])
    func `keeps every reason, known or not`(reason: String) throws {
        let signal = InterruptSignal(reason: InterruptReason(rawValue: reason))
        let read = try SignalMessage(json: SignalMessage(flag: signal).json).signal(source: .flag, newID: .random())
        #expect(read.reason.rawValue == reason)
        #expect(read.reason.isKnown == (InterruptReason.Kind(rawValue: reason) != nil))
        #expect(read.reason.isKnown || read.reason.kind == .custom)
    }

    @Test func `keeps every field`() throws {
        let signal = InterruptSignal(
            stage: .kill,
            reason: .resourceLimit,
            message: "a \"quoted\" \u{1B}[2J /\u{0}\u{10FFFF}",
            triggeredBy: "ops/é",
            savesCheckpoint: false
        )
        let read = try SignalMessage(json: SignalMessage(flag: signal).json).signal(source: .flag, newID: .random())
        #expect(read.id == signal.id && read.stage == signal.stage && read.reason == signal.reason)
        #expect(read.message == signal.message && read.triggeredBy == signal.triggeredBy && !read.savesCheckpoint)
    }

    @Test func `needs nothing but a target on a channel`() throws {
        let signal = try SignalMessage(json: Array("{\"target\":\"group:g\"}".utf8))
            .signal(source: .message, newID: .random())
        #expect(signal.target == .group(try Name("g")))
        let lost = try SignalMessage(json: Array("{\"target\":\"no such:thing\"}".utf8))
            .signal(source: .message, newID: .random())
        #expect(lost.target == nil)
    }
}
