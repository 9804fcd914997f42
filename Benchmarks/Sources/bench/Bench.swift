import Glibc
import Histogram

/// Measures what the documents promise, each figure against the physical limit in the same run.
///
///     swift run -c release bench [latency|command|throughput|races|timeouts|silence|handler|scopes|trees|output]…
@main
enum Bench {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "await-sigterm" { return SignalReceiver.run(count: Int(arguments[1]) ?? 1) }
        if arguments.first == "kept" { return await Scopes.printKept(arguments[1]) }
        let all: [(name: String, run: () async throws -> Void)] = [
            ("latency", Latency.run), ("command", CommandTime.run), ("throughput", Throughput.run),
            ("races", Races.run), ("timeouts", Timeouts.run), ("silence", Silence.run), ("handler", Handler.run),
            ("scopes", Scopes.run), ("trees", Trees.run), ("output", Output.run),
        ]
        for benchmark in all where arguments.isEmpty || arguments.contains(benchmark.name) {
            print("== \(benchmark.name)")
            try await benchmark.run()
        }
    }
}

/// Durations of one kind of event, in nanoseconds.
struct Sample {
    private var histogram = Histogram<UInt64>(numberOfSignificantValueDigits: .three)

    mutating func add(_ nanoseconds: UInt64) { histogram.record(nanoseconds) }

    func percentile(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1_000 }

    /// One line in microseconds.
    func line(_ name: String) -> String {
        let label = name.count < 44 ? name + String(repeating: " ", count: 44 - name.count) : name
        return
            "\(label) p50 \(rounded(percentile(50))) us   p99 \(rounded(percentile(99))) us   n \(histogram.totalCount)"
    }
}

/// A figure that is wrong, not slow.
struct WrongResult: Error, CustomStringConvertible {
    let description: String
}

func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

/// The monotonic clock, the same for every process of the machine.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
