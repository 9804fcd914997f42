import InterruptCore
import InterruptRedis

/// How many requests there were, and how long they took, by their reason, source, stage and way.
struct HistorySummary: Equatable {
    enum Dimension: String, CaseIterable {
        case reason, source, stage, way
    }

    /// What is known of the requests that have one value in common.
    struct Row: Equatable {
        var dimension: Dimension
        var value: String
        /// Those that were the first for their run, or harder than those before.
        var requested = 0
        /// Those that came after another one and were not harder.
        var late = 0
        /// From the first request for a run to the worker's receipt for it, in milliseconds.
        var acknowledged: [Int64] = []
        /// From the first request for a run to the proof that the run is gone, in milliseconds.
        var interrupted: [Int64] = []
    }

    private(set) var rows: [Row] = []

    /// A receipt or an end whose request is not among the entries counts by what it says itself.
    init(_ entries: [HistoryEntry]) {
        var sources: [String: String] = [:]
        // One request may be for many runs, and reach each in its own way; the first receipt is the one that was waited for.
        var ways: [String: String] = [:]
        var receipts: Set<String> = []
        for entry in entries {
            if let id = entry.fields["request_id"], let source = entry.fields["source"] { sources[id] = source }
            if let run = entry.fields["run"], let way = entry.fields["via"], ways[run] == nil {
                ways[run] = way
                receipts.insert(entry.id)
            }
        }
        for entry in entries {
            let fields = entry.fields
            let values: [Dimension: String?] = [
                .reason: fields["reason"], .source: fields["request_id"].flatMap { sources[$0] },
                .stage: fields["stage"], .way: fields["run"].flatMap { ways[$0] },
            ]
            let latency = fields["latency_ms"].flatMap(Int64.init)
            for (dimension, value) in values {
                guard let value, !value.isEmpty else { continue }
                switch entry.event {
                case "requested", "escalated": change(dimension, value) { $0.requested += 1 }
                case "late": change(dimension, value) { $0.late += 1 }
                case "acknowledged" where receipts.contains(entry.id):
                    if let latency { change(dimension, value) { $0.acknowledged.append(latency) } }
                case "ended" where fields["state"] == RunState.interrupted.rawValue:
                    if let latency { change(dimension, value) { $0.interrupted.append(latency) } }
                default: break
                }
            }
        }
        let order = Dimension.allCases
        rows.sort { left, right in
            let places = (order.firstIndex(of: left.dimension) ?? 0, order.firstIndex(of: right.dimension) ?? 0)
            if places.0 != places.1 { return places.0 < places.1 }
            return (right.requested, left.value) < (left.requested, right.value)
        }
    }

    private mutating func change(_ dimension: Dimension, _ value: String, _ body: (inout Row) -> Void) {
        let index = rows.firstIndex { $0.dimension == dimension && $0.value == value }
        if index == nil { rows.append(Row(dimension: dimension, value: value)) }
        body(&rows[index ?? rows.count - 1])
    }

    /// The smallest of the values that so many percent are not above; `nil` of none.
    static func percentile(_ percent: Int, of values: [Int64]) -> Int64? {
        let place = (values.count * percent + 99) / 100
        return values.isEmpty ? nil : values.sorted()[max(place, 1) - 1]
    }

    func lines(on screen: Screen) -> [String] {
        if rows.isEmpty { return ["no interrupts on record"] }
        var table = Table(titles: ["BY", "", "REQUESTS", "LATE", "SEEN", "P50", "P99", "STOPPED", "P50", "P99"])
        for row in rows {
            func times(_ values: [Int64]) -> [String] {
                ["\(values.count)"]
                    + [50, 99].map { percent in
                        Self.percentile(percent, of: values).map { Duration.milliseconds($0).displayText } ?? "-"
                    }
            }
            table.rows.append(
                [row.dimension.rawValue, screen.shown(row.shownValue, limit: 40), "\(row.requested)", "\(row.late)"]
                    + times(row.acknowledged) + times(row.interrupted)
            )
        }
        return table.lines(on: screen)
    }
}

extension HistorySummary.Row {
    /// A stage by its name, where it has one.
    fileprivate var shownValue: String {
        dimension == .stage ? Int(value).flatMap(InterruptStage.init)?.name ?? value : value
    }

    var json: JSONValue {
        func times(_ values: [Int64]) -> JSONValue {
            var members: [String: JSONValue] = ["count": .integer(Int64(values.count))]
            for percent in [50, 99] {
                if let value = HistorySummary.percentile(percent, of: values) {
                    members["p\(percent)_ms"] = .integer(value)
                }
            }
            return .object(members)
        }
        return .object([
            "by": .string(dimension.rawValue), "value": .string(value), "requested": .integer(Int64(requested)),
            "late": .integer(Int64(late)), "acknowledged": times(acknowledged), "interrupted": times(interrupted),
        ])
    }
}
