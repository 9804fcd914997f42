import Testing

@testable import InterruptCore

@Suite struct `Duration text` {
    @Test(arguments: [
        ("0", Duration.zero), ("0s", .zero), ("500ms", .milliseconds(500)), ("10s", .seconds(10)),
        ("1.5s", .milliseconds(1_500)), ("5m", .seconds(300)), ("2h", .seconds(7_200)), ("1d", .seconds(86_400)),
        ("0.25ms", .microseconds(250)), ("3650d", .longestAccepted), ("1.005s", .milliseconds(1_005)),
        ("4.35s", .milliseconds(4_350)), ("0.07m", .milliseconds(4_200)),
    ])
    func `a number with its unit is read exactly`(text: String, duration: Duration) throws {
        #expect(try Duration(text: text) == duration)
    }

    @Test func `every whole number of milliseconds up to a minute survives as decimal seconds`() throws {
        for milliseconds in 0..<60_000 {
            let fraction = String(String(1_000 + milliseconds % 1_000).dropFirst())
            let read = try Duration(text: "\(milliseconds / 1_000).\(fraction)s")
            if read.milliseconds != Int64(milliseconds) { Issue.record("\(milliseconds) ms became \(read)") }
        }
    }

    @Test(arguments: [
        "", " ", "10", "-1s", "-0s", "+1s", "NaN", "nans", "inf", "infs", "1e309", "1e309s", "1e3s", "5 min", "5min",
        "1h30", "1h30m", "s", "ms", ".s", ".5s", "5.s", "1.2.3s", "0x10s", "١s", "5s ", " 5s", "1_000s", "5S", "5\0s",
        "s5", "5s\u{0301}",
    ])
    func `anything else is refused with the units that are accepted`(text: String) {
        let error = #expect(throws: DurationError.self) { try Duration(text: text) }
        #expect(error?.description.contains("ms, s, m, h or d") == true, "\(error?.description ?? "accepted")")
    }

    @Test(arguments: ["1000000000000000000s", "3651d", String(repeating: "9", count: 400) + "s"])
    func `longer than ten years is refused`(text: String) {
        let error = #expect(throws: DurationError.self) { try Duration(text: text) }
        #expect(error?.description.contains("longer than 10 years") == true)
    }

    @Test(arguments: [
        (Duration.microseconds(400), "0.4 ms"), (.zero, "0 ms"), (.milliseconds(12), "12 ms"),
        (.milliseconds(999), "999 ms"), (.milliseconds(3_299), "3.2s"), (.seconds(60), "1m 0s"),
        (.seconds(125), "2m 5s"),
        (.seconds(11_400), "3h 10m"), (.seconds(187_200), "2d 4h"), (.seconds(-5), "0s"),
    ])
    func `it is written for people`(duration: Duration, text: String) {
        #expect(duration.displayText == text)
    }

    @Test(arguments: [
        (Duration.seconds(5), "5"), (.milliseconds(1_500), "1.5"), (.milliseconds(250), "0.25"),
        (.milliseconds(1_005), "1.005"), (.zero, "0"),
    ])
    func `a number of seconds has no trailing zeros`(duration: Duration, text: String) {
        #expect(duration.secondsText == text)
    }

    @Test func `what does not fit into milliseconds is the nearest that does`() {
        #expect(Duration.seconds(Int64.max).milliseconds == .max)
        #expect(Duration.seconds(Int64.min).milliseconds == .min)
        #expect(Duration.seconds(1_000_000_000_000_000_000).milliseconds == .max)
        #expect(Duration.milliseconds(-1_500).milliseconds == -1_500)
    }
}

@Suite struct `Display text` {
    @Test(arguments: [
        ("plain", "plain"), ("a\tb\nc\rd", "a\\tb\\nc\\rd"), ("\u{1B}[2J", "\\x1b[2J"), ("\u{9B}31m", "\\x9b31m"),
        ("\0", "\\x00"), ("\u{7F}", "\\x7f"), ("a\\nb", "a\\\\nb"), ("\u{202E}evil", "\\u{202e}evil"),
        ("\u{2066}", "\\u{2066}"), ("\u{2028}", "\\u{2028}"), ("\u{FEFF}", "\\u{feff}"), ("é🛑", "é🛑"),
        ("\r\n", "\\r\\n"),
    ])
    func `what steers a terminal is shown instead of sent`(text: String, shown: String) {
        #expect(text.escapedForDisplay() == shown)
    }

    @Test func `a cut text says so`() {
        #expect("abcdef".escapedForDisplay(limit: 3) == "abc…")
        #expect("abc".escapedForDisplay(limit: 3) == "abc")
        #expect("".escapedForDisplay(limit: 0) == "")
    }

    @Test func `of 100,000 random texts none keeps a control character, and none can be confused with another`() {
        var generator = SystemRandomNumberGenerator()
        let special: [UInt32] = [
            0x1B, 0x07, 0x00, 0x0A, 0x0D, 0x5C, 0x7F, 0x80, 0x85, 0x9B, 0x9D, 0x9F, 0x061C, 0x200E, 0x2028, 0x202A,
            0x202E,
            0x2066, 0x2069, 0xFEFF, 0xE0001, 0x41, 0x6E, 0x78,
        ]
        var raw = 0
        var seen: [[UInt8]: [UInt8]] = [:]  // bytes, because equal texts may differ in them
        for _ in 0..<100_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...8, using: &generator) {
                let value =
                    Bool.random(using: &generator)
                    ? special.randomElement(using: &generator)! : UInt32.random(in: 0...0x2FFF, using: &generator)
                if let scalar = Unicode.Scalar(value) { text.append(scalar) }
            }
            let shown = String(text).escapedForDisplay()
            // In UTF-8 a C1 character is C2 80 ... C2 9F.
            let bytes = Array(shown.utf8)
            for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x7F || byte == 0xC2 {
                if byte == 0xC2, bytes[index + 1] > 0x9F { continue }
                raw += 1
            }
            raw += shown.unicodeScalars.count { $0.properties.isBidiControl }
            let original = Array(String(text).utf8)
            if let other = seen.updateValue(original, forKey: bytes), other != original { raw += 1 }
        }
        #expect(raw == 0)
    }
}
