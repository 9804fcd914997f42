import Foundation
import InterruptCore
import Testing

@testable import InterruptRedis

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

    @Test func `is JSON that cannot steer a terminal, and means the same`() throws {
        let message = "a\u{9B}31m\u{7F}\u{202E}é\u{1B}"
        let line = try #require(read([("run", "r"), ("job", "j"), ("message", message)])).json.line
        #expect(line.contains(#"a\u009b31m\u007f\u202eé\u001b"#))
        let value = try JSONDecoder().decode([String: JSONValue].self, from: Data(line.utf8))
        #expect(value["message"] == .string(message))
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
        for run in ["../r", String(repeating: "r", count: 70_000)] {
            let odd = try #require(read([("run", run), ("job", "j"), ("queue", "q"), ("command", "x")]))
            #expect(odd.order(environment: nil) == nil)
        }
        let odd = try #require(read([("run", "r"), ("job", "not a name"), ("queue", "q"), ("command", "x")]))
        #expect(odd.order(environment: nil) == nil)
    }
}
