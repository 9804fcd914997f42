import InterruptCore
import Testing

@testable import InterruptRedis

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

@Suite struct `A namespace` {
    @Test(arguments: ["interrupt", "{prod}", "a", "A.b_c-9", String(repeating: "n", count: 64)])
    func `is accepted`(text: String) throws {
        let keys = try RedisKeys(namespace: text)
        #expect(keys.flag(.job(try Name("j"))) == "\(text):j")
        #expect(keys.flag(.all) == "\(text):all")
        #expect(keys.flag(.queue(try Name("q"))) == "\(text):queue:q")
        #expect(keys.meta == "\(text)/meta" && keys.signals == "\(text):signals")
    }

    @Test(arguments: [
        "", "{}", "a:b", "a/b", "{a", "a}", "{{a}}", "a b", "é", "a\n", "*", String(repeating: "n", count: 65),
    ])
    func `is refused with what is allowed`(text: String) {
        let error = #expect(throws: NamespaceError.self) { try RedisKeys(namespace: text) }
        #expect(error?.description.contains("1-64 bytes") == true)
    }
}

@Suite struct `A run's record` {
    private func read(_ fields: [(String, String)]) -> RunRecord? {
        RunRecord(reply: .array(fields.flatMap { [.bulk(Array($0.0.utf8)), .bulk(Array($0.1.utf8))] }))
    }

    @Test func `is JSON with the names of the contract, instants in RFC 3339 and absent fields left out`() throws {
        let record = try #require(
            read([
                ("v", "1"), ("run", "r"), ("job", "j"), ("state", "interrupted"), ("attempt", "1"), ("queue", "q"),
                ("groups", "a b"), ("command", "sh\u{0}-c\u{0}\u{0}x y"), ("cwd", ""), ("worker", "w"), ("pid", "7"),
                ("stage", "2"), ("reason", "disk_full"), ("save_checkpoint", "0"), ("submitted_at_ms", "1700000000123"),
                ("grace_ms", "5000"), ("term_signal", "15"), ("late_interrupt", "1"),
                ("escalated_by", "[{\"request_id\":\"x\",\"stage\":3}]"),
            ])
        )
        let expected =
            "{\"attempt\":1,\"command\":[\"sh\",\"-c\",\"\",\"x y\"],\"escalated_by\":[{\"request_id\":\"x\",\"stage\":3}],"
            + "\"grace_ms\":5000,\"groups\":[\"a\",\"b\"],\"job\":\"j\",\"late_interrupt\":true,\"pid\":7,\"queue\":\"q\","
            + "\"reason\":\"disk_full\",\"run\":\"r\",\"save_checkpoint\":false,\"stage\":2,\"state\":\"interrupted\","
            + "\"submitted_at\":\"2023-11-14T22:13:20.123Z\",\"term_signal\":15,\"v\":1,\"worker\":\"w\"}"
        #expect(record.json.line == expected)
        #expect(record.workText == "sh -c '' 'x y'")
    }

    @Test func `shows every millisecond as it is`() {
        for millisecond in Int64(0)..<1_000 {
            let digits = "00\(millisecond)".suffix(3)
            let text = Timestamp(milliseconds: 1_763_719_060_000 + millisecond).rfc3339
            #expect(text == "2025-11-21T09:57:40.\(digits)Z")
        }
    }

    @Test func `is none without a run or a job, and no order without a command`() throws {
        #expect(read([]) == nil)
        #expect(read([("state", "running")]) == nil)
        #expect(try #require(read([("run", "r"), ("job", "j"), ("queue", "q")])).order(environment: nil) == nil)
        let nameless = try #require(read([("run", "r"), ("job", "j"), ("queue", "q"), ("handler", "a b")]))
        #expect(nameless.order(environment: nil) == nil)
        let odd = try #require(read([("run", "r"), ("job", "not a name"), ("queue", "q"), ("command", "x")]))
        #expect(odd.order(environment: nil) == nil)
    }
}
