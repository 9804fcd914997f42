import FoundationEssentials
import InterruptCore
import Testing

@testable import InterruptJSON

@Suite struct `The scanner of records` {
    private static let record = """
        {"request_id":"r1","v":1,"stage":2,"reason":"user_cancelled","message":"a b","triggered_by":"ops",\
        "triggered_at_ms":1795263021883,"save_checkpoint":false,"grace_ms":1500,"source":"remote","target":"group:g",\
        "run":"abc","job":"nightly","seen":["r1","r2"]}
        """

    private func decoded(_ text: String) throws -> SignalMessage {
        try JSONDecoder().decode(SignalMessage.self, from: Data(text.utf8))
    }

    @Test func `reads every field as the decoder does`() throws {
        let scanned = try #require(SignalScanner.message(in: Array(Self.record.utf8)))
        #expect(scanned == (try decoded(Self.record)))
        #expect(scanned.requestID == "r1" && scanned.graceMilliseconds == 1_500 && scanned.savesCheckpoint == false)
        #expect(scanned.triggeredAtMilliseconds == 1_795_263_021_883 && scanned.target == "group:g")
    }

    @Test func `agrees with the decoder on whatever it reads of damaged records`() throws {
        var random = SystemRandomNumberGenerator()
        let bytes = Array(Self.record.utf8)
        var readCount = 0
        for _ in 0..<5_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...2) {
                let position = Int.random(in: damaged.indices, using: &random)
                switch Int.random(in: 0...2) {
                case 0: damaged.remove(at: position)
                case 1: damaged[position] = Array("\"{}[],:\\09-.eatrue x\u{7F}\n".utf8).randomElement() ?? 0
                default: damaged.insert(damaged.randomElement() ?? 0, at: position)
                }
            }
            guard let scanned = SignalScanner.message(in: damaged) else { continue }
            readCount += 1
            #expect(scanned == (try decoded(String(decoding: damaged, as: UTF8.self))))
        }
        #expect(readCount > 100)
    }

    @Test(arguments: [
        "", "{}", "{", "[]", " {\"v\":1}", "{\"v\":1} ", "{\"v\":1,}", "{\"v\":1}x", "{\"v\":01}", "{\"v\":-1}",
        "{\"v\":1.0}", "{\"v\":1e1}", "{\"v\":1234567890123456}", "{\"v\":null}", "{\"v\":1,\"v\":2}", "{\"v\" :1}",
        "{\"message\":\"a\\nb\"}", "{\"message\":\"é\"}", "{\"message\":\"a\u{7F}\"}", "{\"message\":\"a\nb\"}",
        "{\"other\":1}", "{\"seen\":[]}", "{\"seen\":[1]}", "{\"save_checkpoint\":1}", "{\"message\":\"a",
    ])
    func `leaves everything unusual to the decoder`(text: String) {
        #expect(SignalScanner.message(in: Array(text.utf8)) == nil)
    }
}
