import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
struct `A paused job` {
    /// Whether the process stands still: stopped, or in a cgroup that is frozen.
    private func isFrozen(_ record: RunRecord) -> Bool {
        guard let pid = record.pid else { return false }
        // Nothing of a process that has ended.
        func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        if text("/proc/\(pid)/stat").split(separator: ")").last?.hasPrefix(" T") == true { return true }
        let mount = text("/proc/mounts").split(separator: "\n").first { $0.hasPrefix("cgroup2 ") }
        let place = text("/proc/\(pid)/cgroup").split(separator: "\n").last?.dropFirst("0::".count) ?? ""
        return text("\(mount?.split(separator: " ")[1] ?? "")\(place)/cgroup.events").contains("frozen 1")
    }

    @Test(arguments: [[], ["--without-cgroups"]])
    func `is frozen, shows since when, goes on with resume, and was not charged for it`(hold: [String]) async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", hold) { _ in
                _ = try await fleet.control("submit", "--id", "job", "--timeout", "8s", "--", "sleep", "300")
                try await fleet.wait(for: "job", .running)
                let paused = try await fleet.control("pause", "job")
                #expect(paused.exitCode == 0 && paused.text.hasPrefix("Pausing...\nPaused"), "\(paused)")
                let record = try await fleet.wait(for: "job", .paused)
                try await eventually("the process is stopped") { isFrozen(record) }
                let again = try await fleet.control("pause", "job")
                #expect(again.exitCode == 0 && again.text == "already paused\n", "\(again)")
                #expect(try await fleet.control("status", "job").text.contains("Paused"))
                #expect(try await fleet.control("list").text.contains("paused"))
                let client = try await fleet.client
                let pausedAt = try #require(record.pausedAt)
                try await eventually("it stands still for a while") {
                    try await client.serverTime() - pausedAt > .milliseconds(2_500)
                }
                try await fleet.wait(for: "job", .paused)
                let resumed = try await fleet.control("resume", "job", "-o", "json")
                #expect(resumed.exitCode == 0 && resumed.text.contains(#""state":"running""#), "\(resumed)")
                #expect(try await fleet.control("resume", "job").text == "it runs already\n")
                let ended = try await fleet.wait(for: "job", .interrupted)
                #expect(ended.reason == .timeout && ended.pausedTime >= .milliseconds(2_500))
                // 8 s, and what it was paused.
                let length = try #require(ended.endedAt) - (try #require(ended.startedAt))
                #expect(length > .seconds(10), "\(length)")
                let history = try await fleet.control("history", "job").text
                #expect(history.contains("  paused  job  by ") && history.contains("  resumed  job  by "), "\(history)")
                #expect(try await fleet.control("pause", "job").exitCode == 4)
                #expect(try await fleet.control("pause", "job", "--if-running").exitCode == 0)
                #expect(try await fleet.control("pause", "nobody").exitCode == 3)
            }
        }
    }

    @Test(arguments: [[], ["--without-cgroups"]])
    func `ends within its grace period when it is cancelled, by its own handler`(hold: [String]) async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", hold) { _ in
                let script = "trap 'echo saved; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
                _ = try await fleet.control("submit", "--id", "job", "--grace", "60s", "--", "bash", "-c", script)
                try await eventually("it is ready") { try await fleet.output(of: "job").contains("ready") }
                #expect(try await fleet.control("pause", "job").exitCode == 0)
                let cancelled = try await fleet.control("cancel", "job")
                #expect(cancelled.exitCode == 0, "\(cancelled)")
                let record = try await fleet.wait(for: "job", .interrupted)
                #expect(record.exitCode == 3 && record.pausedAt == nil)
                #expect(try await fleet.output(of: "job").hasSuffix("saved\n"))
            }
        }
    }

    @Test
    func `is not waited for without end: a stopped worker cannot confirm`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { pid in
                _ = try await fleet.control("submit", "--id", "job", "--", "sleep", "300")
                try await fleet.wait(for: "job", .running)
                try await stop(pid)
                let unconfirmed = try await fleet.control("pause", "job", "--wait", "300ms")
                #expect(unconfirmed.exitCode == 5, "\(unconfirmed)")
                #expect(unconfirmed.errors.contains("is recorded but not confirmed after "), "\(unconfirmed)")
                #expect(unconfirmed.errors.split(separator: "\n").count == 2)
                #expect(try await fleet.control("pause", "job", "--no-wait").exitCode == 0)
                #expect(kill(pid, SIGCONT) == 0)
                try await fleet.wait(for: "job", .paused)
                #expect(try await fleet.control("resume", "job").exitCode == 0)
                #expect(try await fleet.control("cancel", "job").exitCode == 0)
            }
        }
    }

    @Test
    func `is refused in one line when it is queued`() async throws {
        try await withFleet { fleet in
            _ = try await fleet.control("submit", "--id", "job", "--queue", "later", "--", "true")
            let refused = try await fleet.control("pause", "job")
            #expect(refused.exitCode == 1)
            #expect(refused.errors.hasPrefix("error: job 'job' is queued, and only what runs can be paused\n"))
            #expect(refused.errors.contains("'interruptctl pause queue:later'"), "\(refused)")
            #expect(try await fleet.control("pause").exitCode == 64)
            #expect(try await fleet.control("pause", "job", "--no-wait", "--wait", "1s").exitCode == 64)
        }
    }

    @Test
    func `may be one of many: what runs is frozen, what is queued waits, and resume starts both again`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--queue", "default", "--queue", "other", "--concurrency", "4"]) { _ in
                for job in ["a", "b"] {
                    _ = try await fleet.control("submit", "--id", job, "--group", "g", "--", "sleep", "300")
                    try await fleet.wait(for: job, .running)
                }
                #expect(try await fleet.control("pause", "group:g").exitCode == 1, "it wants a yes")
                #expect(try await fleet.control("pause", "group:g", "--dry-run").text.split(separator: "\n").count == 3)
                let paused = try await fleet.control("pause", "group:g", "--yes")
                #expect(paused.exitCode == 0, "\(paused)")
                for job in ["a", "b"] { try await fleet.wait(for: job, .paused) }
                let submitted = try await fleet.control("submit", "--id", "c", "--group", "g", "--", "sleep", "300")
                #expect(submitted.exitCode == 0, "\(submitted)")
                // What is not paused starts, from the same queue and from another: so the worker has looked at both.
                for queue in ["default", "other"] {
                    let other = try await fleet.control("run", "--queue", queue, "--", "echo", "free")
                    #expect(other.exitCode == 0 && other.text == "free\n", "\(other)")
                }
                #expect(try await fleet.wait(for: "c", .queued).startedAt == nil)
                #expect(try await fleet.control("status", "c").text.contains("group:g is paused"))
                let resumed = try await fleet.control("resume", "group:g", "-o", "json")
                #expect(resumed.exitCode == 0, "\(resumed)")
                #expect(resumed.text.contains(#"{"resumed":true,"target":"group:g"}"#), "\(resumed)")
                for job in ["a", "b", "c"] { try await fleet.wait(for: job, .running) }
                _ = try await fleet.control("cancel", "all", "--yes")
            }
        }
    }
}
