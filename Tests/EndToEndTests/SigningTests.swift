import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// What must be seen nowhere.
private let canary = "canary-5d1c-correct-horse-battery-staple"

/// A fleet, and a file with the key.
private func withSigningFleet(_ body: (Fleet, _ keyFile: String) async throws -> Void) async throws {
    try await withFleet { fleet in
        let keyFile = "\(fleet.directory)/key"
        try write(canary, to: keyFile)
        try await body(fleet, keyFile)
    }
}

private func write(_ text: String, to path: String, mode: Int = 0o600) throws {
    let made = FileManager.default.createFile(
        atPath: path,
        contents: Data("\(text)\n".utf8),
        attributes: [.posixPermissions: mode]
    )
    if !made { throw CocoaError(.fileWriteUnknown) }
}

@Suite(.serialized, .timeLimit(.minutes(3)))
struct `A worker with a key to verify with` {
    private let worker = ["--poll-interval", "200ms", "--lease", "3s", "--concurrency", "4"]

    @Test func `runs what is signed without another rule, and says why it refuses what is not`() async throws {
        try await withSigningFleet { fleet, keyFile in
            let otherFile = "\(fleet.directory)/other-key"
            try write("another key of somebody else", to: otherFile)
            let arguments = worker + ["--sign-key", keyFile]
            try await fleet.worker("w1", arguments, takesAnyCommand: false) { _ in
                let shell = ["--on-end", "echo tidied", "--env", "A=b", "--", "sh", "-c", "echo $A"]
                let signed = try await fleet.control(["run", "--sign-key", keyFile] + shell)
                #expect(signed.exitCode == 0 && signed.text == "b\ntidied\n", "\(signed)")
                let unsigned = try await fleet.control(["run"] + shell)
                #expect(unsigned.exitCode == 125, "\(unsigned)")
                #expect(unsigned.errors.contains("it is not signed, submit it with --sign-key"), "\(unsigned)")
                let plain = try await fleet.control("run", "--", "true")
                #expect(plain.errors.contains("refused: worker w1 takes only signed commands; it is not signed"))
                let wrong = try await fleet.control("run", "--sign-key", otherFile, "--", "true")
                #expect(wrong.exitCode == 125 && wrong.errors.contains("its signature is wrong: made with another key"))
                let late = try await fleet.control(
                    "run",
                    "--sign-key",
                    keyFile,
                    "--sign-valid-for",
                    "1ms",
                    "--",
                    "true"
                )
                #expect(late.exitCode == 125 && late.errors.contains("its signature expired at 2"), "\(late)")
                let noKey = try await fleet.control("submit", "--sign-valid-for", "1h", "--", "true")
                #expect(noKey.exitCode == 64 && noKey.errors.contains("hint: pass --sign-key FILE"), "\(noKey)")
                try await eventually("the four that were refused are counted") {
                    try await fleet.control("workers", "-o", "json").text.contains(#""refused_submissions":4"#)
                }
            }
        }
    }

    @Test func `lets a rule run what is not signed, too`() async throws {
        try await withSigningFleet { fleet, keyFile in
            let arguments = worker + ["--sign-key", keyFile, "--allow", "echo *"]
            try await fleet.worker("w1", arguments, takesAnyCommand: false) { _ in
                #expect(try await fleet.control("run", "--", "echo", "allowed").text == "allowed\n")
                let refused = try await fleet.control("run", "--", "printf", "x")
                #expect(refused.errors.contains("no --allow pattern matches 'printf x'"), "\(refused)")
                #expect(refused.errors.contains("it is not signed"), "\(refused)")
                #expect(try await fleet.control("run", "--sign-key", keyFile, "--", "printf", "x").text == "x")
            }
        }
    }

    @Test func `is interrupted and paused by who has the key, and by nobody else`() async throws {
        try await withSigningFleet { fleet, keyFile in
            try await fleet.worker("w1", worker + ["--sign-key", keyFile], takesAnyCommand: false) { _ in
                let key = ["--sign-key", keyFile]
                for job in ["one", "two", "three"] {
                    let words = ["submit"] + key + ["--id", job, "--group", "g", "--", "sleep", "300"]
                    #expect(try await fleet.control(words).exitCode == 0)
                    try await fleet.wait(for: job, .running)
                }
                let forged = try await fleet.control("cancel", "one", "--wait", "3s")
                #expect(forged.exitCode == 5, "\(forged)")
                #expect(forged.text.contains("worker 'w1' honours only what is signed, and this request is not"))
                #expect(forged.errors.contains("hint: its worker honours only what is signed: ask again"))
                try await fleet.redis.command("SET", "interrupt:two", "1")
                try await fleet.redis.command("SET", "interrupt:all", #"{"stage":3}"#)
                try await fleet.redis.command("PUBLISH", "interrupt:signals", #"{"target":"all","stage":3}"#)
                try await fleet.log(of: "w1", has: "ignored a request that nobody with the key has made")
                // What is for many counts once more each time that it is read anew.
                try await eventually("four are counted") {
                    try await fleet.control("workers", "-o", "json").text.contains(#/"refused_requests":[4-9]\b/#)
                }
                for job in ["one", "two", "three"] {
                    let record = try await fleet.wait(for: job, .running)
                    #expect(record.stage == nil && record.pid.map { kill($0, 0) } == 0)
                }
                #expect(try await fleet.control(["pause", "two"] + key).exitCode == 0)
                try await fleet.wait(for: "two", .paused)
                #expect(try await fleet.control(["resume", "two"] + key).exitCode == 0)
                let paused = try await fleet.control("pause", "three", "--wait", "3s")
                #expect(paused.exitCode == 5 && paused.errors.contains("ask again with --sign-key FILE"), "\(paused)")
                try await fleet.wait(for: "three", .running)
                // To go on needs no signature.
                #expect(try await fleet.control(["pause", "three"] + key).exitCode == 0)
                let resumed = try await fleet.control("resume", "three")
                #expect(resumed.exitCode == 0 && !resumed.text.contains("signed"), "\(resumed)")
                try await fleet.wait(for: "three", .running)
                // Behind the forged one, which is on record first.
                let cancelled = try await fleet.control(["cancel", "one"] + key)
                #expect(cancelled.exitCode == 0, "\(cancelled)")
                try await fleet.wait(for: "one", .interrupted)
                let killed = try await fleet.control(["kill", "group:g", "--yes"] + key)
                #expect(killed.exitCode == 0, "\(killed)")
                for job in ["two", "three"] {
                    #expect(try await fleet.wait(for: job, .interrupted).termSignal == SIGKILL)
                }
            }
        }
    }

    @Test func `tries a signed job again, as often as its signature says`() async throws {
        try await withSigningFleet { fleet, keyFile in
            try await fleet.worker("w1", worker + ["--sign-key", keyFile], takesAnyCommand: false) { _ in
                let key = ["--sign-key", keyFile]
                let job = ["--", "sh", "-c", "echo try $INTERRUPT_ATTEMPT; [ $INTERRUPT_ATTEMPT = 3 ] || exit 7"]
                let ended = try await fleet.control(["run", "--id", "j", "--retries", "2"] + key + job)
                #expect(ended.exitCode == 0 && ended.text == "try 1\ntry 2\ntry 3\n", "\(ended)")
                let last = try await fleet.wait(for: "j", .completed)
                #expect(last.attempt == 3 && last.run.rawValue.hasSuffix(".3"), "\(last.run)")
                // Who raises what was signed gets no further try out of it.
                let submit = ["submit", "--id", "k", "--retries", "1"] + key
                let go = "\(fleet.directory)/go"
                let script = "until [ -e '\(go)' ]; do sleep 0.05; done; exit 7"
                #expect(try await fleet.control(submit + ["--", "sh", "-c", script]).exitCode == 0)
                let first = try await fleet.wait(for: "k", .running)
                try await fleet.redis.command("HSET", "interrupt/run/\(first.run)", "retries", "5")
                try write("", to: go)
                try await eventually("the second try was refused, or the last one has failed") {
                    try await fleet.client.newestRun(of: Name("k")).map { $0.state == .failed && $0.attempt == 2 }
                        ?? false
                }
                let second = try await fleet.wait(for: "k", .failed)
                #expect(second.error?.contains("signature") == true, "\(second.error ?? "")")
            }
        }
    }

    @Test func `keeps the key where nobody sees it`() async throws {
        try await withSigningFleet { fleet, keyFile in
            let password = "canary-password"
            try await fleet.redis.command("ACL", "SETUSER", "ops", "on", ">\(password)", "~*", "&*", "+@all")
            let passwordFile = "\(fleet.directory)/password"
            try write(password, to: passwordFile)
            let url = "redis+unix://ops@\(fleet.redis.socketPath)"
            let files = ["--sign-key", keyFile, "--redis", url, "--redis-password-file", passwordFile]
            var seen = ""
            let arguments = worker + files + ["--log-level", "debug"]
            seen += try await fleet.worker("w1", arguments, takesAnyCommand: false) { _ in
                var seen = ""
                let job = try await fleet.control(["run"] + files + ["--", "sh", "-c", "env; cat /proc/self/environ"])
                #expect(job.exitCode == 0 && job.text.contains("INTERRUPT_RUN="), "\(job)")
                _ = try await fleet.control(["submit"] + files + ["--id", "long", "--", "sleep", "300"])
                try await fleet.wait(for: "long", .running)
                for pid in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int32(pid) != nil {
                    // A process may end meanwhile.
                    for file in ["cmdline", "environ"] {
                        let text = FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") ?? Data()
                        seen += String(decoding: text, as: UTF8.self)
                    }
                }
                #expect(seen.contains("--sign-key"), "the processes were looked at")
                for words in [
                    ["status"], ["status", "long", "-o", "json"], ["workers", "-o", "json"], ["history"], ["list"],
                    ["cancel", "long"], ["history", "long", "-o", "json"], ["status", "nobody"],
                ] {
                    let output = try await fleet.control(words + files)
                    seen += output.text + output.errors
                }
                for wrong in [["--sign-key", "\(fleet.directory)/none"], ["--sign-key", "/dev/null"]] {
                    let output = try await fleet.control(["submit"] + wrong + ["--", "true"])
                    #expect(output.exitCode == 1 && output.errors.contains("key file"), "\(output)")
                    seen += output.text + output.errors
                }
                return seen + job.text + job.errors
            }
            seen += try String(contentsOfFile: "\(fleet.directory)/w1.log", encoding: .utf8)
            #expect(!seen.contains("canary-"))
            for file in try FileManager.default.subpathsOfDirectory(atPath: "\(fleet.directory)/w1") {
                let data = FileManager.default.contents(atPath: "\(fleet.directory)/w1/\(file)") ?? Data()
                #expect(data.range(of: Data("canary-".utf8)) == nil, "\(file)")
            }
        }
    }

    @Test func `does not start with a key file that others can read, or that holds too little`() async throws {
        try await withSigningFleet { fleet, keyFile in
            for (mode, text, why) in [(0o644, canary, "chmod 600"), (0o600, "short", "has 5 bytes")] {
                try write(text, to: keyFile, mode: mode)
                for daemon in [true, false] {
                    let output =
                        daemon
                        ? try await fleet.daemon("--state-dir", fleet.directory, "--sign-key", keyFile)
                        : try await fleet.control("submit", "--sign-key", keyFile, "--", "true")
                    #expect(output.exitCode == (daemon ? 64 : 1) && output.errors.contains(why), "\(output)")
                    #expect(!output.errors.contains("canary-"))
                }
            }
        }
    }
}
