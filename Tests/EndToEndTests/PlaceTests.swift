import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// The programs as they are in production: behind sentinels, on a cluster, and with no more rights than they need.
@Suite(.serialized, .timeLimit(.minutes(2))) struct `The programs` {
    private func submit(_ count: Int, from first: Int = 0, to fleet: Fleet) async throws -> [String] {
        let jobs = (first..<first + count).map { "job-\($0)" }
        for job in jobs {
            let submitted = try await fleet.control("submit", "--id", job, "--", "sleep", "300")
            try #require(submitted.exitCode == 0, "\(submitted)")
        }
        let client = try await fleet.client
        for job in jobs {
            try await eventually("\(job) has its process") {
                try await client.newestRun(of: try Name(job)).map { $0.state == .running && $0.pid != nil } ?? false
            }
        }
        return jobs
    }

    /// Cancels a job, again by the same request id while Redis cannot be reached, as the hint says.
    private func insist(on job: String, _ fleet: Fleet) async throws -> Fleet.Output {
        var said: Fleet.Output
        let deadline = ContinuousClock.now + .seconds(60)
        repeat {
            said = try await fleet.control("cancel", job, "--wait", "60s", "--request-id", "stop-\(job)")
        } while said.exitCode == 69 && ContinuousClock.now < deadline
        return said
    }

    @Test func `behind sentinels stop every job that was cancelled while the primary was killed`() async throws {
        try await withSentinels { servers in
            try await withFleet { own in
                var fleet = own
                fleet.place = (servers.endpoint, RedisKeys.defaultNamespace)
                let placed = fleet
                try await placed.worker("w1", ["--concurrency", "20"]) { daemon in
                    let jobs = try await submit(20, to: placed)
                    let replica = servers.servers[1]
                    for job in jobs {
                        try await eventually("the replica has \(job)") {
                            let run = try await replica.command("HGET", "interrupt/job/\(job)", "run").text ?? ""
                            return try await replica.command("HEXISTS", "interrupt/run/\(run)", "pid").integer == 1
                        }
                    }
                    let answers = try await withThrowingTaskGroup(of: Fleet.Output.self) { group in
                        for (number, job) in jobs.enumerated() {
                            group.addTask {
                                // One after the other, so that the kill falls into the middle of them.
                                try await Task.sleep(for: .milliseconds(50 * number))
                                return try await insist(on: job, placed)
                            }
                        }
                        try await eventually("a quarter of them has ended") {
                            try await servers.servers[0].command("ZCARD", "interrupt/live").integer ?? 20 <= 15
                        }
                        try await servers.servers[0].kill()
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    // A receipt that the old primary had alone: then the run has ended when it is asked again.
                    #expect(answers.allSatisfy { [0, 4].contains($0.exitCode) }, "\(answers)")
                    let client = try await placed.client
                    for job in jobs {
                        let record = try #require(try await client.newestRun(of: try Name(job)))
                        #expect(record.state == .interrupted, "\(record)")
                        #expect(processes(with: "INTERRUPT_RUN=\(record.run)").isEmpty)
                    }
                    #expect(try await placed.control("run", "--", "echo", "well").text == "well\n")
                    #expect(kill(daemon, 0) == 0)
                }
            }
        }
    }

    @Test func `on a cluster stop every job, also when its keys have moved to another node`() async throws {
        try await withCluster { cluster in
            try await withFleet { own in
                var fleet = own
                fleet.place = (cluster.masters[1].endpoint, "{interrupt}")
                let placed = fleet
                try await placed.worker("w1", ["--concurrency", "10"]) { daemon in
                    let jobs = try await submit(10, to: placed)
                    #expect(try await placed.control("cancel", jobs[0]).exitCode == 0)
                    let slot = try await cluster.slot(of: "{interrupt}")
                    let owner = try await cluster.owner(of: slot)
                    let next = try #require(cluster.masters.first { $0 !== owner })
                    async let asked = placed.control(["cancel"] + jobs[1..<5] + ["--yes"])
                    try await cluster.migrate(slot, to: next)
                    let said = try await asked
                    #expect(said.exitCode == 0, "\(said)")
                    let rest = try await placed.control(["kill"] + jobs[5...] + ["--yes"])
                    #expect(rest.exitCode == 0, "\(rest)")
                    #expect(try await placed.control("run", "--", "echo", "well").text == "well\n")
                    #expect(kill(daemon, 0) == 0)
                }
            }
        }
    }

    @Test func `with the rights of their roles alone do what they are for, and Redis refuses nothing`() async throws {
        let files = String(#filePath.split(separator: "/Tests/")[0]) + "/Docs/acl"
        try await withTemporaryDirectory { directory in
            let names = try FileManager.default.contentsOfDirectory(atPath: files).sorted()
            let rules = try names.map { try String(contentsOfFile: "\(files)/\($0)", encoding: .utf8) }.joined()
            try rules.write(toFile: "\(directory)/users.acl", atomically: false, encoding: .utf8)
            try await withFleet(redis: ["--aclfile", "\(directory)/users.acl"]) { fleet in
                @Sendable func url(_ role: String) -> String {
                    "redis+unix://\(role):change-me@\(fleet.redis.socketPath)"
                }
                @Sendable func control(_ words: String...) async throws -> Fleet.Output {
                    try await fleet.control([words[0], "--redis", url("controller")] + words.dropFirst())
                }
                try await fleet.worker("w1", ["--redis", url("worker"), "--lease", "3s", "--concurrency", "10"]) {
                    daemon in
                    let ran = try await control("run", "--", "echo", "well")
                    #expect(ran.text == "well\n", "\(ran)")
                    let retried = try await control("run", "--retries", "1", "--", "sh", "-c", "exit 3")
                    #expect(retried.exitCode == 3, "\(retried)")
                    for job in ["paused", "cancelled", "killed", "grouped"] {
                        let submitted = try await control(
                            "submit",
                            "--id",
                            job,
                            "--group",
                            job,
                            "--on-interrupt",
                            "true",
                            "--",
                            "sleep",
                            "300"
                        )
                        #expect(submitted.exitCode == 0, "\(submitted)")
                        try await fleet.wait(for: job, .running)
                    }
                    let singles = [
                        ("pause", "paused"), ("resume", "paused"), ("cancel", "cancelled"), ("kill", "killed"),
                    ]
                    for (verb, job) in singles {
                        let said = try await control(verb, job)
                        #expect(said.exitCode == 0, "\(verb) \(job): \(said)")
                    }
                    for words in [["pause", "group:paused"], ["cancel", "group:grouped"], ["drain", "worker:w1"]] {
                        let said = try await control(words[0], words[1], "--yes", "--wait", "5s")
                        #expect([0, 5].contains(said.exitCode), "\(words): \(said)")
                    }
                    try await fleet.redis.command("SET", "interrupt:paused", "1")
                    try await fleet.wait(for: "paused", .interrupted)
                    let log = try await fleet.redis.command("ACL", "LOG").array ?? []
                    #expect(log.isEmpty, "\(log)")
                    #expect(kill(daemon, 0) == 0)
                }
            }
        }
    }
}
