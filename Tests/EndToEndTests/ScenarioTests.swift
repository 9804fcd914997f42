import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

/// What people stop in practice, each as a script that says `begun` once everything of it runs.
private let scenarios: [(name: String, script: String)] = [
    ("a loop over chunks", "echo begun; for chunk in $(seq 1000); do echo chunk $chunk; sleep 0.1; done"),
    (
        "a loop over windows of chunks",
        "echo begun; for w in $(seq 100); do for c in $(seq 100); do echo $w.$c; sleep 0.1; done; done"
    ),
    ("a pipeline that splits scenes", "seq 100000 | while read n; do [ $n = 1 ] && echo begun; sleep 0.1; done | cat"),
    ("an external tool and its helpers", "sh -c 'sleep 300 & sleep 300 & echo begun; wait'; echo never"),
]

@Suite(.timeLimit(.minutes(3)))
struct `A stop in practice` {
    @Test(arguments: scenarios.map(\.name))
    func `ends all of a job, keeps its output, and the next run starts at once`(name: String) async throws {
        let script = try #require(scenarios.first { $0.name == name }).script
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let mark = "MARK=scenario-\(fleet.redis.pid ?? 0)"
                _ = try await fleet.control("submit", "--id", "job", "--env", mark, "--", "sh", "-c", script)
                try await eventually("it has begun") { try await fleet.output(of: "job").contains("begun") }
                let stopped = try await fleet.control("cancel", "job", "--message", "forgot the filter")
                #expect(stopped.exitCode == 0, "\(stopped)")
                #expect(processes(with: mark).isEmpty)
                #expect(try await fleet.wait(for: "job", .interrupted).message == "forgot the filter")
                #expect(try await fleet.output(of: "job").contains("begun"))
                #expect(try await fleet.control("run", "--id", "job", "--", "true").exitCode == 0)
            }
        }
    }

    @Test(arguments: [
        ("cancel", "⏹ Command interrupted by user", SIGTERM), ("kill", "⏹ Execution terminated by user", SIGKILL),
    ])
    func `is said, done, cleaned up after and on record before its end is said, and the next run starts`(
        verb: String,
        final: String,
        signal: Int32
    ) async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let mark = "MARK=order-\(fleet.redis.pid ?? 0)"
                let cleaned = "\(fleet.directory)/cleaned"
                let words = [
                    "submit", "--id", "job", "--env", mark, "--on-end", "touch '\(cleaned)'", "--grace", "10s",
                    "--", "sh", "-c", "sleep 300 & setsid sleep 300 & echo begun; wait",
                ]
                #expect(try await fleet.control(words).exitCode == 0)
                try await eventually("all of it runs") { processes(with: mark).count == 3 }
                try await eventually("it has begun") { try await fleet.output(of: "job").contains("begun") }
                let stopped = try await fleet.control(verb, "job", "--message", "wrong branch")
                #expect(stopped.exitCode == 0, "\(stopped)")
                #expect(processes(with: mark).isEmpty && access(cleaned, F_OK) == 0)
                let lines = stopped.text.split(separator: "\n")
                let order = ["⏹ Interrupt signal sent...", "acknowledged", final]
                #expect(lines.count == order.count && zip(lines, order).allSatisfy { $0.hasPrefix($1) }, "\(lines)")
                let json = try await fleet.control("status", "job", "-o", "json").text
                for field in [
                    #""state":"interrupted""#, #""pid":"#, #""term_signal":\#(signal)"#, #""message":"wrong branch""#,
                    #""reason":"user_cancelled""#, #""triggered_by":""#, #""request_id":""#, #""via":""#,
                    #""requested_at":""#, #""acknowledged_at":""#, #""confirmed_at":""#, #""last_output":"begun""#,
                ] {
                    #expect(json.contains(field), "\(field) in \(json)")
                }
                for field in ["exit_code", "core_dumped", "oom"] { #expect(!json.contains("\"\(field)\":"), "\(json)") }
                #expect(try await fleet.control("run", "--id", "job", "--", "true").exitCode == 0)
            }
        }
    }

    @Test
    func `is asked of what runs, which is listed with its processes, and nothing else is`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "2"]) { _ in
                #expect(try await fleet.control("run", "--id", "ended", "--", "true").exitCode == 0)
                for job in ["one", "two", "waiting"] {
                    let words = ["submit", "--id", job, "--", "sleep", "300"]
                    #expect(try await fleet.control(words).exitCode == 0)
                }
                var pids: [Int32] = []
                for job in ["one", "two"] {
                    let record = try await fleet.wait(for: job, .running)
                    let client = try await fleet.client
                    try await eventually("it has a process") {
                        guard let pid = try await client.record(of: record.run)?.pid else { return false }
                        pids.append(pid)
                        return true
                    }
                }
                let listed = try await fleet.control("list", "--state", "running", "-o", "json").text
                #expect(listed.split(separator: "\n").count == 2)
                for pid in pids { #expect(listed.contains("\"pid\":\(pid),") && kill(pid, 0) == 0) }
                #expect(try await fleet.control("cancel", "waiting").exitCode == 0)
                #expect(try await fleet.control("cancel", "one", "two", "--yes").exitCode == 0)
                #expect(try await fleet.control("list", "--state", "running", "-o", "json").text.isEmpty)
                for pid in pids { #expect(kill(pid, 0) == -1 && errno == ESRCH) }
            }
        }
    }

    @Test
    func `of a batch stops the file at hand and starts none of the rest`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "1"]) { _ in
                for file in 1...5 {
                    _ = try await fleet.control(
                        "submit",
                        "--id",
                        "file\(file)",
                        "--group",
                        "batch",
                        "--",
                        "sh",
                        "-c",
                        "touch \(fleet.directory)/began-\(file); sleep 300"
                    )
                }
                try await fleet.wait(for: "file1", .running)
                try await eventually("the first file is at hand") {
                    access("\(fleet.directory)/began-1", F_OK) == 0
                }
                let stopped = try await fleet.control("cancel", "group:batch", "--yes")
                #expect(stopped.exitCode == 0, "\(stopped)")
                for file in 1...5 { try await fleet.wait(for: "file\(file)", .interrupted) }
                for file in 2...5 { #expect(access("\(fleet.directory)/began-\(file)", F_OK) != 0) }
            }
        }
    }

    @Test
    func `by a hundred clicks is one interrupt and 99 that were already requested`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                _ = try await fleet.control(
                    "submit",
                    "--id",
                    "deaf",
                    "--grace",
                    "1h",
                    "--",
                    "bash",
                    "-c",
                    "trap '' TERM; echo begun; while :; do sleep 1; done"
                )
                try await eventually("it has begun") { try await fleet.output(of: "deaf").contains("begun") }
                let statuses = try await withThrowingTaskGroup(of: Int32?.self) { group in
                    var statuses: [Int32?] = []
                    for click in 0..<100 {
                        // Eight at a time; a hundred processes at once prove no more.
                        if click >= 8 { statuses.append(try await group.next() ?? nil) }
                        group.addTask { try await fleet.control("cancel", "deaf", "--no-wait").exitCode }
                    }
                    for try await status in group { statuses.append(status) }
                    return statuses
                }
                #expect(statuses == Array(repeating: 0, count: 100))
                let history = try await fleet.client.history(limit: 1_000)
                #expect(history.count { $0.event == "requested" } == 1)
                #expect(history.count { $0.event == "late" } == 99)
                #expect(try await fleet.control("kill", "deaf").exitCode == 0)
                #expect(try await fleet.client.history(limit: 1_000).count { $0.event == "ended" } == 1)
            }
        }
    }

    @Test
    func `by a request, a timeout and a Unix signal keeps the first cause and records the others`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { daemon in
                let deaf = "trap '' TERM; echo begun; while :; do sleep 1; done"
                let options = ["--id", "deaf", "--grace", "1h", "--timeout", "8s"]
                _ = try await fleet.control(["submit"] + options + ["--", "bash", "-c", deaf])
                try await eventually("it has begun") { try await fleet.output(of: "deaf").contains("begun") }
                _ = try await fleet.control("cancel", "deaf", "--reason", "priority_override", "--no-wait")
                let client = try await fleet.client
                let record = try await fleet.wait(for: "deaf", .cancelling)
                let timeout = try #require(record.startedAt).milliseconds + 8_000
                try await eventually("the timeout has passed") {
                    try await client.serverTime().milliseconds > timeout + 500
                }
                kill(daemon, SIGTERM)
                let ended = try await fleet.wait(for: "deaf", .interrupted)
                #expect(ended.reason == .priorityOverride && ended.termSignal == SIGKILL)
                let history = try await client.history(limit: 1_000)
                let asked = history.filter { ["requested", "late", "escalated"].contains($0.event) }
                let sources = asked.compactMap { $0.fields["source"] }
                #expect(sources.first == "remote")
                #expect(Set(sources) == ["remote", "timeout", "unix_signal"])
            }
        }
    }

    @Test
    func `that nobody asks for does not come, and nothing is left behind`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let done = try await fleet.control("run", "--id", "job", "--", "sh", "-c", "echo one; echo two")
                #expect(done.exitCode == 0 && done.text == "one\ntwo\n")
                let record = try await fleet.wait(for: "job", .completed)
                #expect(record.stage == nil && !record.isLateInterrupt)
                let keys = try await fleet.redis.command("KEYS", "*").array?.compactMap(\.text) ?? []
                let leftOver = keys.filter {
                    !$0.hasPrefix("interrupt/") || $0.contains("/env/") || $0.contains("/holds/")
                }
                #expect(leftOver.isEmpty)
                for key in keys where key.contains("/run/") || key.contains("/output/") || key.contains("/job/") {
                    #expect(try await fleet.redis.command("TTL", key).integer ?? -1 > 0, "\(key) stays for ever")
                }
            }
        }
    }

    @Test
    func `by Ctrl-C in an attached run reaches the remote job, harder each time`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                for (job, script, presses, signal) in [
                    ("once", "echo begun; sleep 300", 1, SIGTERM),
                    ("twice", "trap '' TERM; echo begun; while :; do sleep 1; done", 2, SIGKILL),
                ] {
                    let result = try await Subprocess.run(
                        .path(Fleet.programs.appending("interruptctl")),
                        arguments: ["run", "--id", job, "--grace", "1h", "--", "bash", "-c", script],
                        environment: fleet.environment,
                        input: .none,
                        output: .discarded,
                        error: .discarded
                    ) { execution in
                        try await eventually("\(job) has begun") {
                            try await fleet.output(of: job).contains("begun")
                        }
                        try execution.send(signal: .interrupt)
                        guard presses == 2 else { return }
                        try await fleet.wait(for: job, .cancelling)
                        // Presses within 300 ms count once, and that a second one was left out shows nowhere.
                        try await Task.sleep(for: .milliseconds(400))
                        try execution.send(signal: .interrupt)
                    }
                    #expect(result.terminationStatus == .exited(130))
                    #expect(try await fleet.wait(for: job, .interrupted).termSignal == signal)
                }
            }
        }
    }
}
