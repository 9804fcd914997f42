import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Summary of the history` {
    private func entry(_ event: String, _ id: String, _ fields: [String: String] = [:]) throws -> HistoryEntry {
        let fields = fields.merging(["event": event, "request_id": id, "job": "j", "run": "run of \(id)"]) { given, _ in
            given
        }
        var entry = try InterruptCtlTests.entry(fields)
        entry.id = "\(event) \(id) \(fields["run"] ?? "") \(fields["stage"] ?? "")"
        return entry
    }

    @Test func `counts requests and times by reason, source, stage and way`() throws {
        var entries: [HistoryEntry] = []
        for number in 1...100 {
            let id = "r\(number)"
            let reason = number <= 90 ? "user_cancelled" : "timeout"
            let asked = ["reason": reason, "stage": "2", "source": "remote"]
            entries.append(try entry("requested", id, asked))
            let seen = ["reason": reason, "stage": "2", "via": number == 100 ? "poll" : "push"]
            entries.append(try entry("acknowledged", id, seen.merging(["latency_ms": "\(number)"]) { $1 }))
            let state = number == 1 ? "completed" : "interrupted"
            let ended = ["reason": reason, "stage": "2", "state": state, "latency_ms": "\(10 * number)"]
            entries.append(try entry("ended", id, ended))
        }
        entries.append(try entry("late", "x", ["reason": "user_cancelled", "stage": "2", "source": "flag"]))
        let summary = HistorySummary(entries)
        #expect(
            summary.rows.map(\.dimension.rawValue) == ["reason", "reason", "source", "source", "stage", "way", "way"]
        )
        #expect(summary.rows.map(\.value) == ["user_cancelled", "timeout", "remote", "flag", "2", "push", "poll"])
        #expect(summary.rows.map(\.requested) == [90, 10, 100, 0, 100, 99, 1])
        #expect(summary.rows.map(\.late) == [1, 0, 0, 1, 1, 0, 0])
        #expect(summary.rows.map(\.acknowledged.count) == [90, 10, 100, 0, 100, 99, 1])
        #expect(summary.rows[2].interrupted.count == 99)
        #expect(HistorySummary.percentile(50, of: summary.rows[2].acknowledged) == 50)
        #expect(HistorySummary.percentile(99, of: summary.rows[2].acknowledged) == 99)
        let json =
            #"{"acknowledged":{"count":10,"p50_ms":95,"p99_ms":100},"by":"reason","#
            + #""interrupted":{"count":10,"p50_ms":950,"p99_ms":1000},"late":0,"requested":10,"value":"timeout"}"#
        #expect(summary.rows[1].json.line == json)
        let lines = summary.lines(on: Screen(width: 120))
        let stage = try #require(lines.first { $0.hasPrefix("stage") })
        #expect(
            stage.split(separator: " ") == "stage terminate 100 1 100 50 ms 99 ms 99 510 ms 1.0s".split(separator: " ")
        )
    }

    @Test func `of a request for many runs each has its own way, and only the first receipt of a run is a time`() throws
    {
        var entries: [HistoryEntry] = []
        for (run, way) in [("a", "push"), ("b", "push"), ("c", "poll")] {
            entries.append(try entry("requested", "r", ["run": run, "stage": "1", "source": "remote"]))
            entries.append(try entry("acknowledged", "r", ["run": run, "stage": "1", "via": way, "latency_ms": "1"]))
        }
        entries.append(try entry("escalated", "s", ["run": "a", "stage": "2", "source": "remote"]))
        entries.append(
            try entry("acknowledged", "s", ["run": "a", "stage": "2", "via": "push", "latency_ms": "3600000"])
        )
        let rows = HistorySummary(entries).rows
        #expect(rows.map(\.value) == ["remote", "1", "2", "push", "poll"])
        #expect(rows.map(\.requested) == [4, 3, 1, 3, 1])
        #expect(rows.map(\.acknowledged) == [[1, 1, 1], [1, 1, 1], [], [1, 1], [1]])
    }

    @Test func `of nothing says so, and steers no terminal`() throws {
        #expect(HistorySummary([]).lines(on: Screen()) == ["no interrupts on record"])
        let hostile = try entry("requested", "r", ["reason": "a\u{1B}[31m", "stage": "9", "source": "\u{7}"])
        let lines = HistorySummary([hostile]).lines(on: Screen())
        #expect(lines.joined().unicodeScalars.allSatisfy { $0.value >= 0x20 })
        #expect(HistorySummary.percentile(50, of: []) == nil)
        #expect(HistorySummary.percentile(99, of: [7]) == 7)
    }
}
