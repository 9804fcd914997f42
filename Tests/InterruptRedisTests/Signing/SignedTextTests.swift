import InterruptCore
import Testing

@testable import InterruptRedis

/// Random bytes that are likely to be taken for something else: digits, colons and commas.
private func bytes(_ random: inout some RandomNumberGenerator) -> [UInt8] {
    let alphabet = Array("0123:,,ab\u{0} é".utf8)
    return (0..<Int.random(in: 0...12, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
}

private func text(_ random: inout some RandomNumberGenerator) -> SignedText {
    var fields: [[UInt8]: [UInt8]] = [:]
    for _ in 0..<Int.random(in: 0...4, using: &random) { fields[bytes(&random)] = bytes(&random) }
    return SignedText(
        SignedText.Kind.allCases.randomElement(using: &random)!,
        namespace: ["interrupt", "{prod}", "a", ""].randomElement(using: &random)!,
        fields: fields.map { .init(name: $0.key, value: $0.value) }
    )
}

@Suite struct `A signed text` {
    @Test func `has bytes that no other text has, and is read back from them`() {
        var random = SystemRandomNumberGenerator()
        var known: [[UInt8]: SignedText] = [:]
        for _ in 0..<5_000 {
            let text = text(&random)
            let bytes = text.bytes
            #expect(SignedText(bytes: bytes) == text)
            #expect(known.updateValue(text, forKey: bytes) ?? text == text)
        }
        // As many different bytes as different texts: small ones come several times.
        #expect(known.count > 2_500)
    }

    @Test func `is not read from bytes that were cut, changed in their order or written in another way`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let bytes = text(&random).bytes
            for count in 0..<bytes.count {
                // What is left may be a text of fewer fields. Then it is another one, with another signature.
                if let cut = SignedText(bytes: bytes[..<count]) { #expect(cut.bytes == Array(bytes[..<count])) }
            }
        }
        for wrong in [
            "", "5:run-1,", "5:run-1,1:a,1:b,", "5:run-9,1:a,", "5:run-1,1:a,1:b,1:x,1:a,1:y,",
            "5:run-1,1:a,1:b,1:x,1:b,1:y,", "05:run-1,1:a,", "5:run-1,01:a,", "5:run-1,1:a,0:,0:", "5:run-1;1:a,",
            "5:run-1,1:a,x", " 5:run-1,1:a,", "5:run-1,99999999:a,", "5:run-1,-1:,",
        ] { #expect(SignedText(bytes: Array(wrong.utf8)) == nil, "\(wrong)") }
        #expect(SignedText(bytes: Array("5:run-1,1:a,0:,0:,".utf8)) != nil)
    }
}

@Suite struct `A signature` {
    private let key = SigningKey(Array("correct horse battery staple".utf8))!

    @Test func `is the one that the protocol document shows`() throws {
        let document = try Documents.text("Protocol.md")
        let run = RunID(rawValue: "r1")
        let signal = InterruptSignal(
            id: RequestID(rawValue: "q1"),
            message: "wrong branch",
            triggeredBy: "ops"
        ).signed(for: run, namespace: "interrupt", with: key)
        let parts = signal.split(separator: " ", maxSplits: 1)
        #expect(document.contains("#=> \(parts[0])\n") && document.contains("SIGNED='\(parts[1])'"))
        var submission = Submission(
            job: try Name("nightly"),
            queue: try Name("default"),
            command: ["make", "all"].map { Array($0.utf8) }
        )
        submission.run = run
        submission.directory = "/srv/app"
        submission.timeout = .seconds(7_200)
        submission.environment = ["LANG": Array("C".utf8)]
        let signature = submission.signature([("expires_at_ms", "1800000000000")], "interrupt", with: key)
        #expect(document.contains("#=> \(signature)\n"))
        for field in SignedRun.fields { #expect(document.contains("`\(field)`"), "\(field)") }
    }

    @Test func `is an HMAC with SHA-256 in lower-case digits, and no other text of it counts`() {
        // RFC 4231, test case 7: a key and a text longer than a block.
        let long = SigningKey([UInt8](repeating: 0xAA, count: 131))!
        let text = "This is a test using a larger than block-size key and a larger than block-size data."
        let more = " The key needs to be hashed before being used by the HMAC algorithm."
        let signed = Array((text + more).utf8)
        let signature = "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        #expect(long.signature(of: signed) == signature)
        #expect(long.verifies(signature, of: signed))
        for wrong in ["", String(signature.dropLast()), signature.uppercased(), signature + "00", "0" + signature] {
            #expect(!long.verifies(wrong, of: signed), "\(wrong)")
        }
        #expect(!key.verifies(signature, of: signed))
        #expect(!long.verifies(signature, of: signed.dropLast()))
    }

    @Test func `needs a key of sixteen bytes`() {
        #expect(SigningKey([UInt8](repeating: 1, count: 15)) == nil)
        #expect(SigningKey([UInt8](repeating: 1, count: 16)) != nil)
        #expect(SigningKey([UInt8](repeating: 1, count: 4_097)) == nil)
    }

    @Test func `with any one digit changed is wrong`() {
        let signed = Array("text".utf8)
        let right = Array(key.signature(of: signed))
        for index in right.indices {
            var wrong = right
            wrong[index] = wrong[index] == "0" ? "1" : "0"
            #expect(!key.verifies(String(wrong), of: signed), "\(index)")
        }
    }
}
