import InterruptCore
import Testing

@Suite struct `Last line` {
    @Test(arguments: [
        (["one\ntw", "o\nthree\n\n"], "three"), (["a", "b", "c"], "abc"), (["old\r", "new\r"], "new"),
        (["", "\n\n"], nil),
        ([String(repeating: "x", count: 10_000), "y\n"], String(repeating: "x", count: 399) + "y"),
    ])
    func `is the last one with anything in it`(pieces: [String], expected: String?) {
        var line = LastLine()
        for piece in pieces { line.append(piece) }
        #expect(line.text == expected)
    }

    @Test func `has at most 400 bytes and no half character`() {
        var line = LastLine()
        line.append("x" + String(repeating: "ü", count: 300))
        #expect(line.text == String(repeating: "ü", count: 200))
        line.append("y")
        #expect(line.text == String(repeating: "ü", count: 199) + "y")
    }
}

extension LastLine {
    fileprivate mutating func append(_ text: String) {
        Array(text.utf8).withUnsafeBytes { append($0) }
    }
}
