import ArgumentParser
import CMemory
import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis
import InterruptWorker
import Logging
import SystemPackage

/// The worker daemon. This file wires the parts together; each part has a file or a module of its own.
@main
struct Interruptd: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "interruptd",
        abstract: "Runs jobs in parallel, and ends any of them when it is interrupted.",
        discussion: """
            Without --redis it starts a private Redis for this user; interruptctl finds it by itself.

              interruptd                               one machine, no set-up
              interruptd --concurrency 8 --grace 30s   more at a time, more time to end
              interruptd --redis redis://db:6379 --jobs jobs.yaml
                                                       a fleet's: commands in a file
              interruptd --redis redis://db:6379 --allow 'ffmpeg -i /srv/media/* **'
                                                       and commands that match
              interruptd --redis redis://db:6379 --sign-key key
                                                       and what is signed with it

            A pattern of --allow is made of words, as a command is: * stands for any text in one argument, ** at the end \
            for any further arguments. See Docs/Operations.md, "What may run".

            Unix signals:
              SIGINT    one stage up a press: finishes what runs, ends it, kills it
              SIGTERM   finishes what runs for half of the grace period, then ends it
              SIGHUP    reads the settings, the policy file and the jobs file again
            """,
        version: version
    )

    @Option(help: "Redis to use: redis://, rediss://, redis+sentinel:// or unix://. Default: an embedded one.")
    var redis: String?
    @Option(help: "File that holds the Redis password.")
    var redisPasswordFile: String?
    @Option(help: "File that holds the sentinels' own password.")
    var sentinelPasswordFile: String?
    @Option(help: "File with the certificates that may sign the server's.")
    var tlsCa: String?
    @Option(help: "File with this client's certificate.")
    var tlsCert: String?
    @Option(help: "File with this client's key.")
    var tlsKey: String?
    @Option(help: "Namespace of all keys. Default: interrupt.")
    var namespace: String?
    @Option(help: "Queue to take from; repeated, in strict order. Default: default.")
    var queue: [String] = []
    @Option(help: "How many jobs run at a time. Default: three quarters of the cores.")
    var concurrency: String?
    @Option(help: "Name of this worker. Default: the host's name.")
    var name: String?
    @Option(help: "Time between asking a job to end and killing it; 0 kills at once. Default: 10s.")
    var grace: String?
    @Option(help: "How long a job may go on after stage 1 before the log says so. Default: 60s.")
    var drainWarning: String?
    @Option(help: "Time between two polls for interrupts. Default: 1s.")
    var pollInterval: String?
    @Option(help: "How long this worker may be silent. Default: 30s.")
    var lease: String?
    @Flag(help: "Run any command that is submitted, also on a Redis that others can reach.")
    var allowAnyCommand = false
    @Flag(help: "Hold the processes of a job together without cgroups, also where they can be used.")
    var withoutCgroups = false
    @Option(help: "YAML file with commands that may be submitted by name. Default: none.")
    var jobs: String?
    @Option(help: "Command that may be submitted, with * for any text and ** for any further arguments; repeated.")
    var allow: [String] = []
    @Option(help: "Variable that a submission may set for a command of --allow; repeated.")
    var allowEnv: [String] = []
    @Option(help: "File with a key: what is signed with it may run, and only such requests interrupt it.")
    var signKey: String?
    @Option(help: "How much more than its grace period a job gets at most if it asks. Default: 30s.")
    var moreTime: String?
    @Option(help: "How much of one run's output is kept, such as 512M. Default: 1G.")
    var outputLimit: String?
    @Option(help: "How long output files are kept. Default: 7d.")
    var keepOutput: String?
    @Option(help: "How much all output files may have together. Default: 10G.")
    var keepOutputSize: String?
    @Option(help: "Directory for output files and the embedded Redis.")
    var stateDir: String?
    @Option(help: "YAML file that says for each queue what an interrupt means. Default: none.")
    var policy: String?
    @Option(help: "YAML file with these settings; names with _ for -.")
    var config: String?
    @Option(help: "text or json. Default: text.")
    var logFormat: String?
    @Option(help: "debug, info, warning or error. Default: info.")
    var logLevel: String?
    @Flag(help: "Say in a terminal what each stage does to running and queued jobs.")
    var detailed = false

    static func main() async {
        HiddenPassword.hide()
        do {
            try await parse().run()
        } catch {
            let code = exitCode(for: error)
            guard code == .validationFailure else { exit(withError: error) }
            StandardError.write(UsageText.shown(fullMessage(for: error)) + "\n")
            Glibc.exit(code.rawValue)
        }
    }

    func run() async throws {
        give_back_relocations()
        share_arena()
        // A reader of our output that goes away is no reason to die with it.
        signal(SIGPIPE, SIG_IGN)
        // They mean something to other daemons; to die of them would end all jobs.
        for number in [SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
        // An ignored SIGINT or SIGHUP stays so: that is what nohup and a shell's background mean.
        let numbers = [SIGINT, SIGHUP].filter { !UnixSignals.isIgnored($0) } + [SIGTERM]
        // First of all, so that a signal right after the start ends the embedded Redis too.
        try await withUnixSignals(numbers) { signals in
            do {
                try await serve(signals)
            } catch let failure as StartFailure {
                failure.print()
                Glibc.exit(failure.status)
            }
            // Here, with our handlers in place: a press too much, at the very end, does not change the exit status.
            Glibc.exit(0)
        }
    }

    private var flags: SettingsSource {
        var flags: [SettingsSource.Key: [String]] = [:]
        let single: [(SettingsSource.Key, String?)] = [
            (.redis, redis), (.redisPasswordFile, redisPasswordFile), (.sentinelPasswordFile, sentinelPasswordFile),
            (.tlsCA, tlsCa), (.tlsCert, tlsCert), (.tlsKey, tlsKey), (.namespace, namespace),
            (.concurrency, concurrency), (.name, name), (.grace, grace), (.drainWarning, drainWarning),
            (.pollInterval, pollInterval), (.lease, lease), (.moreTime, moreTime), (.outputLimit, outputLimit),
            (.keepOutput, keepOutput), (.keepOutputSize, keepOutputSize),
            (.stateDirectory, stateDir), (.policy, policy), (.jobs, jobs), (.signKey, signKey), (.logFormat, logFormat),
            (.logLevel, logLevel),
        ]
        for (key, value) in single { if let value { flags[key] = [value] } }
        if !queue.isEmpty { flags[.queue] = queue }
        if !allow.isEmpty { flags[.allow] = allow }
        if !allowEnv.isEmpty { flags[.allowEnv] = allowEnv }
        if allowAnyCommand { flags[.allowAnyCommand] = ["true"] }
        if withoutCgroups { flags[.withoutCgroups] = ["true"] }
        if detailed { flags[.detailed] = ["true"] }
        return SettingsSource(flags: flags)
    }

    /// Reads and checks all settings, now and at each SIGHUP.
    private func reader(environment: [String: String]) -> @Sendable () throws(InvalidSetting) -> DaemonSettings {
        let (flags, config) = (flags, config)
        return { () throws(InvalidSetting) in
            var sources = [flags, SettingsSource(environment: environment)]
            if let config { sources.append(try SettingsFile.read(config)) }
            return try DaemonSettings(
                sources: sources,
                environment: environment,
                processorCount: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
            )
        }
    }

    private func serve(_ signals: UnixSignals) async throws {
        let environment = ProcessInfo.processInfo.environment
        let read = reader(environment: environment)
        let settings = try StartFailure.asUsage { try read() }
        let level = LogLevel(settings.logLevel)
        LoggingSystem.bootstrap { _ in LineLogHandler(format: settings.logFormat, level: level) }
        let current = CurrentSettings(settings, level: level, read: read)
        let logger = Logger(label: "interruptd")
        let state = try StateDirectory(settings.stateDirectory, environment: environment)
        let keys = try StartFailure.asUsage { try settings.endpoint.keys() }
        let signingKey = try StartFailure.asUsage { try settings.endpoint.signingKey() }
        func daemon(_ endpoint: RedisEndpoint) -> Daemon {
            Daemon(
                settings: settings,
                current: current,
                signals: signals,
                endpoint: endpoint,
                keys: keys,
                signingKey: signingKey,
                state: state,
                logger: logger
            )
        }
        guard settings.endpoint.usesEmbeddedServer else {
            return try await daemon(try StartFailure.asUsage { try settings.endpoint.endpoint() }).run()
        }
        let runtime = settings.endpoint.runtimeDirectory
        try StartFailure.asUsage { try runtime.create() }
        let embedded = EmbeddedRedis(
            socketPath: runtime.socketPath(namespace: keys.namespace),
            lockPath: runtime.lockPath(namespace: keys.namespace),
            dataDirectory: try state.directory("redis-\(RuntimeDirectory.fileName(keys.namespace))"),
            logger: logger
        )
        do {
            try await embedded.run {
                try await daemon(try StartFailure.asUsage { try settings.endpoint.endpoint() }).run()
            }
        } catch let failure as EmbeddedRedis.Failure {
            throw StartFailure(status: 69, message: failure.description, hint: failure.hint)
        }
    }
}

/// Why the daemon does not start: what is printed, and the exit status.
struct StartFailure: Error {
    var status: Int32
    var message: String
    var hint: String?

    init(status: Int32, message: String, hint: String? = nil) {
        self.status = status
        self.message = message
        self.hint = hint
    }

    func print() {
        StandardError.write("error: \(message.escapedForDisplay())\n")
        if let hint { StandardError.write("hint: \(hint.escapedForDisplay())\n") }
    }

    /// `nil` for a failure that may be over in a moment.
    init?(_ error: RedisError) {
        message = error.description
        switch error.code {
        case .authenticationFailed, .notPermitted:
            status = 77
            hint = "check the user in --redis and the file of --redis-password-file"
        case .refusedBySentinels:
            status = 77
            hint = "check the file of --sentinel-password-file"
        case .wrongSettings:
            status = 69
            hint = "check --redis, --tls-ca, --tls-cert and --tls-key"
        case .unsuitableNamespace:
            status = 64
            hint = nil
        case .notARedisServer:
            status = 69
            hint = "check --redis"
        default: return nil
        }
    }

    /// Turns the errors of settings into status 64.
    static func asUsage<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as InvalidSetting {
            throw StartFailure(status: 64, message: error.description)
        } catch let error as SettingsError {
            throw StartFailure(status: 64, message: error.description, hint: error.hint)
        }
    }
}
