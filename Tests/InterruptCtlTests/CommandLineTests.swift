import ArgumentParser
import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@testable import interruptctl

@Suite struct `The command line` {
    @Test func `the examples of the help fit a terminal of 80 columns`() {
        let commands = InterruptControl.configuration.subcommands + [InterruptControl.self]
        for command in commands {
            for line in command.configuration.discussion.split(separator: "\n") where line.hasPrefix("  ") {
                #expect(line.count <= 80)
            }
        }
    }

    @Test func `what follows the dashes keeps its bytes`() throws {
        let words: [[UInt8]] = [Array("run".utf8), Array("--".utf8), [0xFF, 0xFE], Array("--".utf8), []]
        let arguments = RawArguments(words)
        #expect(arguments.command == [[0xFF, 0xFE], Array("--".utf8), []])
        #expect(try arguments.texts() == ["run", "--", "\u{FFFD}\u{FFFD}", "--", ""])
    }

    @Test func `a word before the dashes must be text`() {
        #expect(throws: CommandFailure.self) { try RawArguments([Array("cancel".utf8), [0xFF]]).texts() }
    }

    @Test(arguments: [
        (["cancel", "a", "--reason", "TIMEOUT"], "Did you mean 'timeout'?"),
        (["cancel", "a", "--reason", "timeouts"], "user_cancelled, timeout, resource_limit, error_threshold"),
        (["cancel", "a", "--reason", ""], "user_cancelled, timeout"), (["cancel", "a", "--reson", "x"], "'--reason'"),
        (["cancel"], "The target is missing"), (["cancel", "a b"], "job id: 'a b' is not a name (byte 1)"),
        (["cancel", "grp:x"], "use JOB, group:NAME, queue:NAME, worker:NAME or all"),
        (["cancel", "a", "--grace", "5 min"], "ms, s, m, h or d"),
        (["cancel", "a", "--no-wait", "--wait", "5s"], "contradict"),
        (["cancel", "a", "b", "--run", "r"], "--run names one run"),
        (["cancel", "a", "--durability", "replicas:0"], "with N from 1 to 64, such as replicas:1"),
        (["submit", "--durability", "disk", "--", "a"], "write replicas:N"),
        (["cancel", "a", "--message", String(repeating: "x", count: 4_097)], "4097 bytes, at most 4096"),
        (["submit", "--id", "a"], "write it after '--'"), (["submit", "--", ""], "name is empty"),
        (["run", "--handler", "a", "--", "b"], "a command or a handler, not both"),
        (["submit", "--handler", "a", "--handler", "b"], "--handler is given 2 times"),
        (["submit", "--handler", "a", "--input", "x", "--input-file", "y"], "The input is given 2 times"),
        (["submit", "--input", "x", "--", "a"], "name it with --handler"),
        (["submit", "--handler", "a b"], "'a b' is not a name"),
        (["submit", "--handler", "a", "--cwd", "/tmp"], "put what it needs into --input"),
        (["submit", "--handler", "a", "--env", "A=b"], "put what it needs into --input"),
        (["submit", "--handler", "a", "--input", String(repeating: "x", count: 131_073)], "longer than 131072 bytes"),
        (["submit", "--env", "=x", "--", "a"], "letters, digits and _ only"),
        (["submit", "--env", "a b=x", "--", "a"], "letters, digits and _ only"),
        (["submit", "--timeout", "0", "--", "a"], "longer than 0"), (["list", "--state", "done"], "a state is one of"),
        (["pause"], "The target is missing"), (["resume"], "The target is missing"),
        (["pause", "a", "--no-wait", "--wait", "5s"], "contradict"),
        (["pause", "group:g", "--run", "r"], "--run names one run"), (["resume", "grp:x"], "use JOB, group:NAME"),
        (["submit", "--max-memory", "512Q", "--", "a"], "a whole number of bytes, or one with K, M, G or T"),
        (["submit", "--max-memory", "M", "--", "a"], "a whole number of bytes, or one with K, M, G or T"),
        (["submit", "--max-memory", "-1", "--", "a"], "--max-memory"),
        (["submit", "--max-memory", "0", "--", "a"], "from 1 to 1024T"),
        (["submit", "--max-output", "9999999999999T", "--", "a"], "from 1 to 1024T"),
        (["run", "--max-output", "1.5G", "--", "a"], "a whole number of bytes"),
        (["run", "--max-cpu", "0s", "--", "a"], "longer than 0"), (["run", "--max-cpu", "x", "--", "a"], "--max-cpu"),
        (["run", "--max-processes", "0", "--", "a"], "from 1 to 4194304"),
        (["run", "--max-processes", "many", "--", "a"], "from 1 to 4194304"),
        (["run", "--on-end", "", "--", "a"], "the command is empty"),
        (["run", "--on-interrupt", String(repeating: "x", count: 65_537), "--", "a"], "65537 bytes, at most 65536"),
        (["run", "--hook-limit", "5s", "--", "a"], "give --on-interrupt or --on-end with it"),
        (["submit", "--handler", "a", "--max-memory", "1M"], "for commands only"),
        (["submit", "--handler", "a", "--on-end", "x"], "for commands only"),
        (["submit", "--handler", "a", "--charge-paused"], "for commands only"),
        (["history", "--limit", "0"], "from 1 to 100000"),
    ])
    func `wrong usage is one line that says what is allowed, and 64`(words: [String], part: String) throws {
        do {
            _ = try InterruptControl.parseAsRoot(words)
            Issue.record("accepted")
        } catch {
            let lines = UsageText.shown(InterruptControl.fullMessage(for: error)).split(separator: "\n")
            #expect(lines.first?.contains(part) == true, "\(lines)")
            #expect(lines.first?.hasPrefix("error: ") == true)
            #expect(lines.count <= 2)
            #expect(InterruptControl.exitCode(for: error).rawValue == 64)
        }
    }

    @Test(arguments: [
        ("1", 1), ("64K", 65_536), ("64k", 65_536), ("512M", 536_870_912), ("2G", 2_147_483_648),
        ("1024T", 1_125_899_906_842_624),
    ])
    func `a size is read, and shown again as it may be written`(text: String, bytes: Int64) throws {
        #expect(try Parse.size(text) == bytes)
        #expect(try Parse.size("\(ByteSize(Int64(bytes)))") == bytes)
    }

    @Test func `an unknown command suggests the nearest`() {
        let known = ["cancel", "status", "help"]
        #expect(
            UsageText.unknownCommand("cancle", known: known)?.description.contains("Did you mean 'cancel'?") == true
        )
        #expect(UsageText.unknownCommand("zzz", known: known)?.description == "unknown command 'zzz'.")
        #expect(UsageText.unknownCommand("status", known: known) == nil)
        #expect(UsageText.unknownCommand("\u{1B}[2J", known: known)?.description == #"unknown command '\x1b[2J'."#)
    }

    @Test(arguments: [
        ("/usr/bin/find", "find"), ("./a b$(x)", "abx"), ("", "job"), ("--help", "help"), ("..", "job"),
        ("\u{1F600}", "job"),
    ])
    func `a job's id is made from its command`(program: String, stem: String) throws {
        let name = JobName.generated(for: Array(program.utf8))
        #expect(name.description.hasPrefix("\(stem)-"))
        #expect(name.description.utf8.count == stem.utf8.count + 7)
    }

    @Test func `a handler takes its input from the line or from a file, as it is`() async throws {
        func input(_ words: String...) throws -> RunOrder.Work {
            let command = try #require(
                try InterruptControl.parseAsRoot(["submit", "--handler", "resize"] + words) as? Submit
            )
            let submission = try command.job.submission(command: [])
            #expect(submission.job.description.hasPrefix("resize-"))
            #expect(submission.directory == nil)
            return submission.work
        }
        let name = try Name("resize")
        #expect(try input() == .handler(name, input: ""))
        #expect(try input("--input", " {}\n") == .handler(name, input: " {}\n"))
        try await withTemporaryDirectory { directory in
            let file = "\(directory)/input"
            try Data("ä\n".utf8).write(to: URL(filePath: file))
            #expect(try input("--input-file", file) == .handler(name, input: "ä\n"))
            try Data([0xFF]).write(to: URL(filePath: file))
            #expect(throws: CommandFailure.self) { try input("--input-file", file) }
            try Data(repeating: 65, count: 131_073).write(to: URL(filePath: file))
            let long = #expect(throws: CommandFailure.self) { try input("--input-file", file) }
            #expect(long?.status == 64)
            let missing = #expect(throws: CommandFailure.self) { try input("--input-file", "\(directory)/none") }
            #expect(missing?.description.contains("No such file") == true)
        }
    }

    @Test func `the request carries what was said and who says it`() throws {
        let command = try #require(
            try InterruptControl.parseAsRoot([
                "cancel", "nightly", "--reason", "timeout", "--message", "m", "--grace", "2s", "--no-checkpoint",
                "--request-id", "q1",
            ]) as? Cancel
        )
        let signal = command.options.signal(stage: .terminate)
        #expect(signal.id.rawValue == "q1")
        #expect(signal.reason == .timeout && signal.message == "m" && signal.gracePeriod == .seconds(2))
        #expect(!signal.savesCheckpoint)
        #expect(signal.triggeredBy?.contains("@") == true)
        #expect(signal.target == .job(try Name("nightly")))
        #expect(command.options.signal(stage: .kill).gracePeriod == .zero)
    }

    @Test func `help on interrupts has the three lines and every heading`() {
        let text = HelpTopic.interrupts
        for line in StageTexts.help + InterruptStage.allCases.map(StageTexts.heading) { #expect(text.contains(line)) }
    }
}

@Suite struct `Endpoint settings` {
    @Test func `a flag beats the environment, and that the default`() throws {
        let environment = ["INTERRUPT_REDIS_URL": "redis://b", "INTERRUPT_NAMESPACE": "two"]
        let both = EndpointSettings(redisURL: "redis://a", namespace: "one", environment: environment)
        #expect(try both.endpoint().description == "redis://a:6379/0")
        #expect(try both.keys().namespace == "one")
        let variables = EndpointSettings(environment: environment)
        #expect(try variables.endpoint().description == "redis://b:6379/0")
        #expect(try variables.keys().namespace == "two")
        let none = EndpointSettings(environment: ["XDG_RUNTIME_DIR": "/nowhere", "INTERRUPT_REDIS_URL": ""])
        #expect(none.usesEmbeddedServer)
        #expect(try none.endpoint().address == .unix(path: "/nowhere/interrupt/interrupt.sock"))
    }

    @Test(arguments: [
        ("redis://u:s3cret@h:0", "port"), ("http://h", "scheme"), ("h", "scheme"), ("redis://:s3cret@", "host"),
    ])
    func `a broken URL is usage, names its part and hides the password`(url: String, part: String) {
        let error = #expect(throws: SettingsError.self) {
            _ = try EndpointSettings(redisURL: url, environment: [:]).endpoint()
        }
        #expect(error?.kind == .invalid)
        #expect(error?.description.contains(part) == true)
        #expect(error?.description.contains("s3cret") == false)
    }

    @Test func `braces in a namespace do not reach a file's name, and no two share one`() {
        let directory = RuntimeDirectory.locate(environment: ["XDG_RUNTIME_DIR": "/run/x/"])
        #expect(directory.socketPath(namespace: "{a}") == "/run/x/interrupt/=a=.sock")
        #expect(directory.lockPath(namespace: "a") == "/run/x/interrupt/a.lock")
    }

    @Test func `a password file is read only if it is ours to read`() async throws {
        try await withTemporaryDirectory { directory throws in
            let path = "\(directory)/password"
            let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
            StandardStreams.write(Array("s3cret\n".utf8), to: descriptor)
            close(descriptor)
            let settings = EndpointSettings(redisURL: "redis://h", passwordFile: path, environment: [:])
            #expect(try settings.endpoint().passwordFile == path)
            let sentinels = EndpointSettings(
                redisURL: "redis+sentinel://:other@h/main",
                sentinelPasswordFile: path,
                environment: [:]
            )
            let nodes = [RedisNode(host: "h", port: 26_379)]
            let address = RedisEndpoint.Address.sentinels(RedisSentinels(nodes, master: "main", passwordFile: path))
            #expect(try sentinels.endpoint().address == address)
            #expect(try sentinels.endpoint().password == "other")
            for mode: mode_t in [0o644, 0o620, 0o602] {
                chmod(path, mode)
                #expect(throws: SettingsError.self, "\(mode)") { _ = try settings.endpoint() }
            }
            chmod(path, 0o640)
            #expect(try settings.endpoint().passwordFile == path, "a group of readers is fine")
            chown(path, 12_345, 0)
            #expect(throws: SettingsError.self) { _ = try settings.endpoint() }
            chown(path, geteuid(), getegid())
            symlink(path, "\(directory)/link")
            for wrong in ["\(directory)/link", directory, "\(directory)/none", "/dev/null"] {
                #expect(throws: SettingsError.self) {
                    _ = try EndpointSettings(redisURL: "redis://h", passwordFile: wrong, environment: [:]).endpoint()
                }
            }
        }
    }

    @Test func `a key file is read only if it is ours to read and holds enough, and its key is shown nowhere`()
        async throws
    {
        try await withTemporaryDirectory { directory throws in
            let path = "\(directory)/key"
            func write(_ text: String) {
                let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
                StandardStreams.write(Array(text.utf8), to: descriptor)
                close(descriptor)
            }
            let settings = EndpointSettings(environment: ["INTERRUPT_SIGN_KEY": path])
            #expect(settings.signKeyFile == path)
            #expect(
                EndpointSettings(signKeyFile: "flag", environment: ["INTERRUPT_SIGN_KEY": path]).signKeyFile == "flag"
            )
            #expect(try EndpointSettings(environment: ["INTERRUPT_SIGN_KEY": ""]).signingKey() == nil)
            write("0123456789abcdef\n")
            let key = try #require(try settings.signingKey())
            var dumped = ""
            dump(key, to: &dumped)
            for text in ["\(key)", String(reflecting: key), dumped] { #expect(!text.contains("0123"), "\(text)") }
            func problem() -> String {
                do throws(SettingsError) {
                    _ = try settings.signingKey()
                    return "read"
                } catch {
                    return error.kind == .refused ? error.description : "wrong kind"
                }
            }
            #expect(problem() == "read")
            for (mode, isRead) in [(0o600, true), (0o640, true), (0o604, false), (0o602, false), (0o644, false)] {
                chmod(path, mode_t(mode))
                #expect((problem() == "read") == isRead, "\(mode)")
            }
            chmod(path, 0o600)
            for (text, why) in [
                ("", "is empty"), ("\n", "is empty"), ("s3cret-too-short", "read"), ("s3cret-to-short", "has 15 bytes"),
                (String(repeating: "k", count: 4_097), "longer than 4096 bytes"),
            ] {
                write(text)
                #expect(problem().contains(why), "\(problem())")
                #expect(!problem().contains("s3cret"))
            }
            write("0123456789abcdef")
            symlink(path, "\(directory)/link")
            mkfifo("\(directory)/fifo", 0o600)
            for wrong in ["\(directory)/link", "\(directory)/fifo", directory, "\(directory)/none", "/dev/null"] {
                #expect(throws: SettingsError.self) {
                    _ = try EndpointSettings(signKeyFile: wrong, environment: [:]).signingKey()
                }
            }
        }
    }

    @Test func `the runtime directory is made closed, and refused when it is open or a link`() async throws {
        try await withTemporaryDirectory { base throws in
            let directory = RuntimeDirectory.locate(environment: ["XDG_RUNTIME_DIR": base])
            #expect(try !directory.exists())
            try directory.create()
            try directory.create()
            #expect(try directory.exists())
            chmod(directory.path, 0o755)
            #expect(throws: SettingsError.self) { try directory.create() }
            rmdir(directory.path)
            symlink("/tmp", directory.path)
            #expect(throws: SettingsError.self) { try directory.create() }
        }
    }
}
