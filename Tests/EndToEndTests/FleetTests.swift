import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
struct `A fleet of workers` {
    @Test
    func `is reached as a whole by group, queue, worker and all`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "3"]) { _ in
                try await fleet.worker("w2", ["--concurrency", "3"]) { _ in
                    for target in ["group:etl", "queue:default", "all"] {
                        for number in 1...6 {
                            let submitted = try await fleet.control(
                                "submit",
                                "--id",
                                "job\(number)",
                                "--group",
                                "etl",
                                "--",
                                "sleep",
                                "300"
                            )
                            #expect(submitted.exitCode == 0, "\(submitted)")
                        }
                        for number in 1...6 { try await fleet.wait(for: "job\(number)", .running) }
                        let refused = try await fleet.control("cancel", target)
                        #expect(refused.exitCode == 1, "many targets want --yes where there is no terminal")
                        let cancelled = try await fleet.control("cancel", target, "--yes")
                        #expect(cancelled.exitCode == 0, "\(cancelled)")
                        for number in 1...6 { try await fleet.wait(for: "job\(number)", .interrupted) }
                        _ = try await fleet.control("resume", "group:etl")
                    }
                }
            }
        }
    }

    @Test
    func `is reached worker by worker, and what runs elsewhere goes on`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control("submit", "--id", "first", "--", "sleep", "300")
                try await fleet.wait(for: "first", .running)
                try await fleet.worker("w2", ["--queue", "other"]) { _ in
                    _ = try await fleet.control("submit", "--id", "second", "--queue", "other", "--", "sleep", "300")
                    try await fleet.wait(for: "second", .running)
                    let cancelled = try await fleet.control("cancel", "worker:w1", "--yes")
                    #expect(cancelled.exitCode == 0, "\(cancelled)")
                    try await fleet.wait(for: "first", .interrupted)
                    let bystander = try await fleet.wait(for: "second", .running)
                    #expect(bystander.stage == nil && bystander.pid.map { kill($0, 0) } == 0)
                }
            }
        }
    }

    @Test
    func `is waited for until the first of several jobs ends`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "2"]) { _ in
                _ = try await fleet.control("submit", "--id", "long", "--", "sleep", "300")
                _ = try await fleet.control("submit", "--id", "short", "--", "sh", "-c", "exit 7")
                #expect(try await fleet.control("wait", "--any", "long", "short").exitCode == 7)
                #expect(try await fleet.control("wait", "--wait", "100ms", "long").exitCode == 125)
                #expect(try await fleet.control("wait", "--any", "long", "nobody").exitCode == 125)
            }
        }
    }

    @Test
    func `speaks TLS with certificates on both sides`() async throws {
        try await withTemporaryDirectory { directory in
            try await withRedis(certificates: try await RedisCertificates.make(in: directory)) { redis in
                let fleet = Fleet(redis: redis, directory: directory)
                let files = ["ca": "ca.crt", "cert": "client.crt", "key": "client.key"]
                let tls =
                    ["--redis", "rediss://localhost:\(redis.port!)"]
                    + files.flatMap { ["--tls-\($0)", "\(directory)/\($1)"] }
                try await fleet.worker("w1", tls) { _ in
                    let done = try await fleet.control(["run"] + tls + ["--", "echo", "over TLS"])
                    #expect(done.exitCode == 0 && done.text == "over TLS\n", "\(done)")
                    _ = try await fleet.control(["submit"] + tls + ["--id", "job", "--", "sleep", "300"])
                    try await fleet.wait(for: "job", .running)
                    let stopped = try await fleet.control(["cancel"] + tls + ["job"])
                    #expect(stopped.exitCode == 0, "\(stopped)")
                }
            }
        }
    }

    @Test
    func `finds its queue, its requests and its history again after Redis and the worker were restarted`() async throws
    {
        try await withFleet { fleet in
            let deaf = "trap '' TERM; echo begun; while :; do sleep 1; done"
            try? await fleet.worker("w1", ["--concurrency", "1"]) { pid in
                _ = try await fleet.control("submit", "--id", "deaf", "--grace", "1h", "--", "bash", "-c", deaf)
                try await eventually("it has begun") { try await fleet.output(of: "deaf").contains("begun") }
                _ = try await fleet.control("submit", "--id", "queued", "--", "echo", "ran")
                _ = try await fleet.control("cancel", "deaf", "--message", "enough", "--no-wait")
                try await fleet.wait(for: "deaf", .cancelling)
                try await fleet.redis.restart()
                kill(pid, SIGKILL)
            }
            #expect(try await fleet.wait(for: "deaf", .cancelling).message == "enough")
            try await fleet.wait(for: "queued", .queued)
            try await fleet.worker("w1") { _ in
                try await fleet.wait(for: "deaf", .lost)
                try await fleet.wait(for: "queued", .completed)
            }
            let events = try await fleet.client.history(limit: 1_000).filter { $0.fields["job"] == "deaf" }.map(\.event)
            #expect(events == ["submitted", "started", "requested", "acknowledged", "ended"])
        }
    }

    @Test
    func `is reached by a plain SET from any program`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control("submit", "--id", "plain", "--", "sleep", "300")
                try await fleet.wait(for: "plain", .running)
                try await fleet.redis.command("SET", "interrupt:plain", "1")
                let record = try await fleet.wait(for: "plain", .interrupted)
                #expect(record.way != nil && record.way != .local)
                #expect(try await fleet.redis.command("EXISTS", "interrupt:plain").integer == 0)
            }
        }
    }

    @Test
    func `refuses a second worker of the same name while the first one lives`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("twin") { pid in
                let second = try await fleet.daemon("--name", "twin", "--state-dir", "\(fleet.directory)/other")
                #expect(second.exitCode == 1)
                #expect(second.errors.contains("in use by process \(pid)"))
            }
        }
    }

    @Test
    func `ends what a killed worker left behind, and says lost`() async throws {
        try await withFleet { fleet in
            let mark = "MARK=left-\(fleet.redis.pid ?? 0)"
            _ = try? await fleet.worker("w1") { pid in
                _ = try await fleet.control("submit", "--id", "orphan", "--env", mark, "--", "sleep", "300")
                try await eventually("the job is on record with its pid") {
                    try await fleet.wait(for: "orphan", .running).pid != nil
                }
                kill(pid, SIGKILL)
            }
            #expect(try await fleet.wait(for: "orphan", .running).state == .running, "silence changes no state")
            try await fleet.worker("w1") { _ in
                try await fleet.wait(for: "orphan", .lost)
                #expect(processes(with: mark).isEmpty)
            }
        }
    }

    @Test
    func `takes no free-form command on a Redis of others without being told to`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("strict", takesAnyCommand: false) { _ in
                _ = try await fleet.control("submit", "--id", "free", "--", "touch", "\(fleet.directory)/ran")
                let record = try await fleet.wait(for: "free", .failed)
                #expect(record.error?.contains("--allow-any-command") == true)
                #expect(access("\(fleet.directory)/ran", F_OK) != 0)
            }
        }
    }

    @Test
    func `takes named jobs and allowed commands only, and SIGHUP reads both again`() async throws {
        try await withFleet { fleet in
            let (media, jobs, config) =
                ("\(fleet.directory)/media", "\(fleet.directory)/jobs.yaml", "\(fleet.directory)/d.yaml")
            mkdir(media, 0o700)
            try write(
                "jobs: {show: {command: [printf, '%s|', '{p}', '{n}'], parameters: \(Self.parameters(media))}}",
                to: jobs
            )
            try write("allow: ['echo hello *', 'pwd']\n", to: config)
            try await fleet.worker("strict", ["--jobs", jobs, "--config", config], takesAnyCommand: false) { pid in
                let named = try await fleet.control("run", "--", "show", "p=\(media)/a b;$(id)", "n=7")
                #expect(named.text == "\(media)/a b;$(id)|7|" && named.exitCode == 0, "\(named)")
                let hello = try await fleet.control("run", "--", "echo", "hello", "you and me")
                #expect(hello.text == "hello you and me\n", "\(hello)")
                for (words, why) in [
                    (
                        ["show", "p=/etc/passwd", "n=7"],
                        "refused by jobs.yaml: show: p '/etc/passwd' is not under \(media)"
                    ),
                    (["show", "p=\(media)", "n=9999"], "refused by jobs.yaml: show: n '9999' is not from 0 to 10"),
                    (["rm", "-rf", "\(fleet.directory)/none"], "no --allow pattern matches 'rm -rf "),
                    (["echo", "hello"], "worker strict allows: echo hello *, pwd; jobs.yaml has the jobs show"),
                ] {
                    let refused = try await fleet.control(["run", "--"] + words)
                    #expect(refused.errors.contains(why) && refused.text.isEmpty && refused.exitCode != 0, "\(refused)")
                }
                let loaded = try await fleet.control("run", "--env", "LD_PRELOAD=/x.so", "--", "pwd")
                #expect(loaded.errors.contains("--allow takes no variable 'LD_PRELOAD'"), "\(loaded)")
                // A file that cannot be used changes nothing; one that can does.
                try write("jobs: {show: {}}", to: jobs)
                kill(pid, SIGHUP)
                try await fleet.log(of: "strict", has: "the settings stay as they are")
                #expect(try await fleet.control("run", "--", "show", "p=\(media)", "n=1").exitCode == 0)
                try write("jobs: {other: {command: [echo, other]}}", to: jobs)
                try write("allow: ['true']\n", to: config)
                kill(pid, SIGHUP)
                try await fleet.log(of: "strict", has: "applied jobs, allow")
                #expect(try await fleet.control("run", "--", "other").text == "other\n")
                #expect(try await fleet.control("run", "--", "true").exitCode == 0)
                let gone = try await fleet.control("run", "--", "show", "p=\(media)", "n=1")
                #expect(gone.errors.contains("no --allow pattern matches 'show "), "\(gone)")
            }
            try write("jobs: {show: {}}", to: jobs)
            let broken = try await fleet.daemon("--jobs", jobs)
            #expect(broken.exitCode == 64 && broken.errors.contains("jobs.yaml:1:8: job show: command: is missing"))
            let everything = try await fleet.daemon("--allow", "*")
            #expect(
                everything.exitCode == 64 && everything.errors.contains("pass --allow-any-command"),
                "\(everything)"
            )
            let loader = try await fleet.daemon("--allow", "ls", "--allow-env", "LD_PRELOAD")
            #expect(loader.exitCode == 64 && loader.errors.contains("--allow-env: 'LD_PRELOAD' would let"), "\(loader)")
        }
    }

    private static func parameters(_ media: String) -> String {
        "{p: {type: path, under: \(media)}, n: {type: integer, max: 10}}"
    }

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o600)
    }

    @Test
    func `keeps its jobs running while Redis is away, and records what happened when it is back`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "2"]) { _ in
                let go = "\(fleet.directory)/go"
                _ = try await fleet.control(
                    "submit",
                    "--id",
                    "through",
                    "--",
                    "sh",
                    "-c",
                    "while [ ! -e \(go) ]; do sleep 0.05; done; echo done"
                )
                try await fleet.wait(for: "through", .running)
                _ = try await fleet.control("submit", "--id", "stopped", "--timeout", "4s", "--", "sleep", "300")
                // On a busy machine its timeout may be over already.
                try await fleet.wait(for: "stopped", .running, .cancelling, .interrupted)
                fleet.redis.stop()
                let unreachable = try await fleet.control("cancel", "through", "--no-wait")
                #expect(unreachable.exitCode == 69, "\(unreachable)")
                _ = creat(go, 0o600)
                fleet.redis.resume()
                try await fleet.wait(for: "through", .completed)
                let record = try await fleet.wait(for: "stopped", .interrupted)
                #expect(record.reason == .timeout)
                try await fleet.redis.restart()
                let after = try await fleet.control("run", "--", "echo", "still here")
                #expect(after.text == "still here\n", "\(after)")
            }
        }
    }
}
