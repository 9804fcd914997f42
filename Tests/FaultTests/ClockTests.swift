import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// Lies about the wall clock, and only about that.
private let liar = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"

@Suite(.timeLimit(.minutes(1)), .enabled(if: access(liar, R_OK) == 0, "no libfaketime here: install faketime"))
struct `A wall clock that jumps` {
    @Test func `by an hour, forth and back, moves no timeout`() async throws {
        try await withFleet { fleet in
            let file = "\(fleet.directory)/offset"
            @Sendable func jump(_ offset: String) throws {
                try offset.write(toFile: file, atomically: true, encoding: .utf8)
            }
            try jump("+0")
            // Under it a Swift program does not see its arguments.
            let lying = [
                "env", "LD_PRELOAD=\(liar)", "FAKETIME_TIMESTAMP_FILE=\(file)", "FAKETIME_NO_CACHE=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1", "INTERRUPT_NAME=w1", "INTERRUPT_STATE_DIR=\(fleet.directory)/w1",
                "INTERRUPT_ALLOW_ANY_COMMAND=true", "INTERRUPT_CONCURRENCY=100",
            ]
            try await fleet.worker("w1", under: lying) { daemon in
                var runs: [RunID: Duration] = [:]
                for number in 0..<10 * faultScale {
                    let timeout = Duration.milliseconds(1_000 + 200 * (number % 10))
                    for run in try await fleet.submit(1, timeout: timeout) { runs[run] = timeout }
                }
                try await Task.sleep(for: .milliseconds(700))  // in the middle of them
                try jump("+1h")
                try await Task.sleep(for: .milliseconds(900))
                try jump("-1h")
                try await fleet.ended(Array(runs.keys))
                let records = try await fleet.records(of: Array(runs.keys))
                let late = records.compactMap { record -> Duration? in
                    guard record.reason == .timeout, let startedAt = record.startedAt,
                        let requestedAt = record.requestedAt, let timeout = runs[record.run]
                    else { return nil }
                    return requestedAt - startedAt - timeout
                }.sorted()
                print("clock jumps: \(late.count) timeouts, \(late.first ?? .zero) to \(late.last ?? .zero) after due")
                #expect(late.count == runs.count)
                // From the claim to the receipt; 50 ms of it are the timeout's own.
                #expect(late.allSatisfy { $0 >= .milliseconds(-5) && $0 < .milliseconds(250) }, "\(late)")
                let all = Set(runs.keys)
                #expect(try await fleet.facts(of: Array(all), asked: [], endedByOthers: all).violations == [])
                // It has seen them: its log has the time of day.
                let days = Set(try fleet.lines(of: "w1").compactMap { $0.split(separator: ":").first })
                #expect(days.count >= 3 && isRunning(daemon), "\(days)")
            }
        }
    }
}
