import ArgumentParser
import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Logging
import Testing

@testable import interruptd

@Suite struct `Daemon settings` {
    private func settings(
        flags: [SettingsSource.Key: [String]] = [:],
        environment: [String: String] = [:],
        yaml: String = ""
    ) throws -> DaemonSettings {
        try DaemonSettings(
            sources: [
                SettingsSource(flags: flags), SettingsSource(environment: environment),
                SettingsSource(yaml: yaml, file: "d.yaml"),
            ],
            environment: environment,
            processorCount: 4
        )
    }

    private func problem(_ body: () throws -> DaemonSettings) -> String {
        do {
            _ = try body()
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func `every setting is in the table for those who run it, and the help fits 80 columns`() throws {
        let path = "\(#filePath)".replacing("Tests/InterruptdTests/SettingsTests.swift", with: "Docs/Operations.md")
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        for key in SettingsSource.Key.allCases {
            let flag = "`--\(key.rawValue.replacing("_", with: "-"))`"
            #expect(lines.contains { $0.hasPrefix("|") && $0.contains(flag) }, "\(flag)")
        }
        for line in Interruptd.configuration.discussion.split(separator: "\n") where line.hasPrefix("  ") {
            #expect(line.count <= 80)
        }
    }

    @Test func `without any source the defaults hold`() throws {
        let settings = try settings()
        #expect(settings.endpoint.usesEmbeddedServer)
        #expect(settings.queues.map(\.description) == ["default"])
        #expect(settings.concurrency == 3)
        #expect(settings.name == nil)
        #expect(settings.gracePeriod == .seconds(10))
        #expect(settings.drainWarning == .seconds(60))
        #expect(settings.pollInterval == .seconds(1))
        #expect(settings.lease == .seconds(30))
        #expect(!settings.allowsAnyCommand)
        #expect(settings.logFormat == .text && settings.logLevel == .info)
        #expect(!settings.isDetailed)
    }

    @Test func `a flag beats the environment, that the file, that the default`() throws {
        let yaml = "grace: 1s\n"
        let environment = ["INTERRUPT_GRACE": "2s"]
        #expect(try settings(yaml: yaml).gracePeriod == .seconds(1))
        #expect(try settings(environment: environment, yaml: yaml).gracePeriod == .seconds(2))
        #expect(try settings(flags: [.grace: ["3s"]], environment: environment, yaml: yaml).gracePeriod == .seconds(3))
        #expect(try settings(environment: ["INTERRUPT_GRACE": ""], yaml: yaml).gracePeriod == .seconds(1))
        let redis = try settings(environment: ["INTERRUPT_REDIS_URL": "redis://a"], yaml: "redis: redis://b\n")
        #expect(redis.endpoint.redisURL == "redis://a")
    }

    @Test func `details are asked for by flag, environment or file`() throws {
        #expect(try settings(flags: [.detailed: ["true"]]).isDetailed)
        #expect(try settings(environment: ["INTERRUPT_DETAILED": "1"]).isDetailed)
        #expect(try settings(yaml: "detailed: yes\n").isDetailed)
    }

    @Test func `sizes are read with their unit, and output is kept within limits`() throws {
        let defaults = try settings()
        #expect(defaults.outputLimit == 1 << 30 && defaults.keepsOutputSize == 10 << 30)
        #expect(defaults.keepsOutput == .seconds(7 * 86_400))
        let given = try settings(yaml: "output_limit: 64M\nkeep_output: 1h\nkeep_output_size: 2T\n")
        #expect(
            given.outputLimit == 64 << 20 && given.keepsOutputSize == 2 << 40 && given.keepsOutput == .seconds(3_600)
        )
        for text in ["", "M", "1.5G", "-1G", "1 G", "1GB", "9999999999T", "0x10", "1000"] {
            #expect(throws: InvalidSetting.self) { try settings(yaml: "output_limit: '\(text)'") }
        }
        let problem = problem { try settings(flags: [.outputLimit: ["1K"]]) }
        #expect(problem == "--output-limit: '1K' is not allowed: a size such as 512M or 10G, at least 1048576")
    }

    @Test func `several queues keep their order, from each source`() throws {
        #expect(try settings(flags: [.queue: ["b", "a"]]).queues.map(\.description) == ["b", "a"])
        #expect(try settings(yaml: "queue: [x, y]\n").queues.map(\.description) == ["x", "y"])
        #expect(try settings(yaml: "queue: x\n").queues.map(\.description) == ["x"])
    }

    @Test(arguments: ["", "\n", "# nothing\n", "---\n", "\u{FEFF}", "~\n"])
    func `an empty file changes nothing`(yaml: String) throws {
        #expect(try settings(yaml: yaml).gracePeriod == .seconds(10))
    }

    @Test(arguments: ["\u{FEFF}grace: 4s\n", "grace: 4s\r\nconcurrency: 2\r\n", "{\"grace\": \"4s\"}", "grace: '4s'"])
    func `a mark at the beginning, any line end and JSON are read`(yaml: String) throws {
        #expect(try settings(yaml: yaml).gracePeriod == .seconds(4))
    }

    @Test(arguments: [
        ("grcae: 1s\n", "d.yaml:1:1: unknown setting 'grcae': known are redis, "),
        ("grace: 1s\nnaem: x\n", "d.yaml:2:1: unknown setting 'naem'"),
        ("grace: 10\n", "d.yaml:1:1: '10' is not a duration"), ("grace: -1s\n", "'-1s' is not a duration"),
        ("grace: 2d\n", "d.yaml:1:1: '2d' is not allowed: 0 ms to 1d 0h"),
        ("concurrency: many\n", "d.yaml:1:1: 'many' is not allowed: a whole number from 1 to 10000"),
        ("concurrency: 0\n", "'0' is not allowed"), ("concurrency: 2.5\n", "'2.5' is not allowed"),
        ("concurrency: {a: 1}\n", "d.yaml:1:1: concurrency takes a value or a list of values"),
        ("allow_any_command: maybe\n", "'maybe' is not allowed: true or false"),
        ("log_format: xml\n", "'xml' is not allowed: text, json"),
        ("log_level: loud\n", "'loud' is not allowed: trace, "),
        ("name: a b\n", "d.yaml:1:1: 'a b' is not a name (byte 1)"), ("queue: [a, '']\n", "the name is empty"),
        ("lease: 1s\n", "'1s' is not allowed: 3.0s to 1h 0m"),
        ("poll_interval: 0s\n", "d.yaml:1:1: '0s' is not allowed: 100 ms to 1h 0m"),
        ("poll_interval: 0.001ms\n", "'0.001ms' is not allowed: 100 ms to 1h 0m"),
        ("poll_interval: 99ms\n", "'99ms' is not allowed: 100 ms to 1h 0m"),
        ("poll_interval: 10d\n", "'10d' is not allowed: 100 ms to 1h 0m"),
        ("- a\n- b\n", "d.yaml:1:1: expected 'name: value' lines"),
        ("just text\n", "d.yaml:1:1: expected"), ("state_dir: ''\n", "d.yaml:1:1: has no value"),
        ("redis:\n", "has no value"),
        ("grace: 1s\ngrace: 2s\n", "d.yaml:2:1: 'grace' is given more than once"),
        ("grace: [1s\n", "d.yaml:2:1: not YAML: "), ("\tgrace: 1s\n", "d.yaml:1:1: not YAML: "),
        ("\"\\e[2J\": 1\n", "'\\x1b[2J'"),
    ])
    func `what is wrong in a file is one line with its place`(yaml: String, text: String) {
        let problem = problem { try settings(yaml: yaml) }
        #expect(problem.contains(text), "\(problem)")
        #expect(!problem.contains("\n"))
    }

    @Test func `what is wrong elsewhere names the flag or the variable`() {
        #expect(problem { try settings(flags: [.concurrency: ["x"]]) }.hasPrefix("--concurrency: 'x' is not allowed"))
        #expect(problem { try settings(flags: [.pollInterval: ["1"]]) }.hasPrefix("--poll-interval: '1' is not"))
        for interval in ["0", "0s", "99ms", "10d"] {
            let problem = problem { try settings(flags: [.pollInterval: [interval]]) }
            #expect(problem == "--poll-interval: '\(interval)' is not allowed: 100 ms to 1h 0m")
        }
        #expect(problem { try settings(flags: [.stateDirectory: [""]]) } == "--state-dir: has no value")
        let environment = ["INTERRUPT_LEASE": "1e309"]
        #expect(problem { try settings(environment: environment) }.hasPrefix("INTERRUPT_LEASE: '1e309' is not"))
    }

    @Test func `reading again applies grace and level, and says what needs a restart`() throws {
        let first = try settings()
        let second = try settings(yaml: "grace: 5s\nlog_level: debug\nconcurrency: 9\n")
        let level = LogLevel(first.logLevel)
        let current = CurrentSettings(first, level: level) { () throws(InvalidSetting) in second }
        #expect(
            try current.reload().description
                == "settings read again: applied grace, log_level; restart to change concurrency"
        )
        #expect(current.gracePeriod == .seconds(5))
        #expect(level.current == .debug)
        #expect(try current.reload().description == "settings read again: restart to change concurrency")
        #expect(SettingsChange(from: first, to: first).description == "settings read again: nothing has changed")
    }

    @Test func `settings that cannot be read again stay as they are`() throws {
        let first = try settings()
        let level = LogLevel(first.logLevel)
        let current = CurrentSettings(first, level: level) { () throws(InvalidSetting) in throw InvalidSetting("bad") }
        #expect(throws: InvalidSetting("bad")) { try current.reload() }
        #expect(current.gracePeriod == first.gracePeriod && level.current == first.logLevel)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Settings file` {
    private func problem(_ path: String) -> String {
        do throws(InvalidSetting) {
            _ = try SettingsFile.read(path)
            return "accepted"
        } catch {
            return error.description
        }
    }

    private func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) {
        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        _ = Glibc.write(file, bytes, bytes.count)
        fchmod(file, mode)
        close(file)
    }

    @Test func `what is not a file of ours is refused at once`() async throws {
        try await withTemporaryDirectory { directory in
            #expect(problem("\(directory)/none") == "--config \(directory)/none: No such file or directory")
            #expect(problem(directory).hasSuffix("not a regular file"))
            mkfifo("\(directory)/fifo", 0o600)
            #expect(problem("\(directory)/fifo").hasSuffix("not a regular file"))
            write(Array("grace: 1s\n".utf8), to: "\(directory)/open", mode: 0o666)
            #expect(problem("\(directory)/open").contains("others can write it"))
            if geteuid() == 0 {
                write(Array("grace: 1s\n".utf8), to: "\(directory)/foreign")
                #expect(chown("\(directory)/foreign", 65_534, 65_534) == 0)
                #expect(problem("\(directory)/foreign").hasSuffix("make it yours with mode 0600 or 0644"))
            }
            write([UInt8](repeating: 0x20, count: 2 << 20), to: "\(directory)/huge")
            #expect(problem("\(directory)/huge").hasSuffix("2097152 bytes, at most 1048576 are read"))
            write([0xFF, 0xFE, 0x00], to: "\(directory)/binary")
            #expect(problem("\(directory)/binary").hasSuffix("not UTF-8 text"))
            write(Array("grace: 1s\n".utf8), to: "\(directory)/good", mode: 0o644)
            #expect(problem("\(directory)/good") == "accepted")
            write([], to: "\(directory)/empty")
            #expect(problem("\(directory)/empty") == "accepted")
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `State directory` {
    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test(arguments: ["", "/", "//"])
    func `it is made for us alone, however its path is written`(end: String) async throws {
        try await withTemporaryDirectory { directory in
            let state = try StateDirectory("\(directory)//a/state\(end)", environment: [:])
            #expect(state.path == "\(directory)/a/state")
            #expect(mode(state.path) == 0o700)
            #expect(mode(try state.directory("output")) == 0o700)
        }
    }

    @Test func `one that others can write is refused, and so is a file`() async throws {
        try await withTemporaryDirectory { directory in
            mkdir("\(directory)/open", 0o700)
            chmod("\(directory)/open", 0o777)
            #expect(throws: StartFailure.self) { try StateDirectory("\(directory)/open", environment: [:]) }
            close(open("\(directory)/file", O_CREAT | O_WRONLY, 0o600))
            #expect(throws: StartFailure.self) { try StateDirectory("\(directory)/file", environment: [:]) }
            #expect(throws: StartFailure.self) { try StateDirectory("\(directory)/file/x", environment: [:]) }
        }
    }
}
