import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `Run messages` {
    private func read(_ text: String) -> [Result<[RunMessage], RunMessageError>] {
        var lines = RunMessageLines()
        return lines.take(Array(text.utf8))
    }

    private func problem(_ text: String) -> String? {
        guard case .failure(let error) = read(text + "\n").first else { return nil }
        return error.text
    }

    @Test func `say how far the work is, that it needs longer, and from where it could go on`() throws {
        let text = """
            {"progress": 0.4, "message": "page 12 of 30"}
            {"more_time": "30s"}

            {"checkpoint": "page 12", "progress": 0.5, "unknown": [1]}

            """
        #expect(
            read(text) == [
                .success([.progress(try WorkProgress(0.4, "page 12 of 30"))]), .success([.moreTime(.seconds(30))]),
                .success([.progress(try WorkProgress(0.5)), .checkpoint("page 12")]),
            ]
        )
    }

    @Test func `are put together from pieces of any size`() throws {
        var lines = RunMessageLines()
        var read: [Result<[RunMessage], RunMessageError>] = []
        for byte in "{\"checkpoint\": \"ä\"}\n{\"progress\": 1}\n{\"progr".utf8 { read += lines.take([byte]) }
        #expect(read == [.success([.checkpoint("ä")]), .success([.progress(try WorkProgress(1))])])
    }

    @Test(arguments: [
        ("{\"progress\": 40}", "progress 40.0 is refused"), ("{\"progress\": -0.1}", "progress -0.1 is refused"),
        ("{\"progress\": \"0.4\"}", "is no JSON object"), ("[1]", "is no JSON object"), ("50%", "is no JSON object"),
        ("{\"message\": \"only\"}", "has neither"), ("{\"more_time\": 30}", "is no JSON object"),
        ("{\"more_time\": \"soon\"}", "more_time: "), ("\u{1B}[2J", "'\\x1b[2J' is no JSON object"),
    ]) func `that are none are refused with what is wrong`(line: String, why: String) {
        #expect(problem(line)?.contains(why) == true, "\(problem(line) ?? "taken")")
    }

    @Test func `that are too long are refused, and the next one is read`() throws {
        let long = "{\"checkpoint\": \"" + String(repeating: "x", count: RunMessage.longestLine) + "\"}"
        #expect(problem(long)?.hasSuffix("is longer than 4096 bytes") == true)
        #expect(read(long + "\n{\"progress\": 1}\n").last == .success([.progress(try WorkProgress(1))]))
    }
}
