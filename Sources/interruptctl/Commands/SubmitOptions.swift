import ArgumentParser
import Glibc
import InterruptCore
import InterruptRedis

/// What `run` and `submit` have in common.
struct SubmitOptions: ParsableArguments {
    @Option("The job's id; made from the command if not given.", "id", Parse.name)
    var id: Name?

    @Option(
        help: ArgumentHelp("A group it belongs to; may be repeated.", valueName: "group"),
        transform: Parse.name
    )
    var group: [Name] = []

    @Option("The queue it waits in (default: default).", "queue", Parse.name)
    var queue: Name?

    @Option("Interrupts the run after this long, such as 90s or 2h.", "duration", Parse.positiveDuration)
    var timeout: Duration?

    @Option("The time between asking it to end and forcing it; 0 forces at once.", "duration", Parse.duration)
    var grace: Duration?

    @Option("How often it is tried again when it fails or its worker is lost (default: 0).", "number", Parse.retries)
    var retries: Int?

    @Flag(help: "If the job is live already, print its run id and succeed.")
    var unique = false

    @Option(
        help: ArgumentHelp("The directory to run in (default: this one).", valueName: "dir"),
        completion: .directory
    )
    var cwd: String?

    @Option(
        name: .customLong("env"),
        help: ArgumentHelp("A variable of the job's environment; may be repeated.", valueName: "name=value"),
        transform: EnvironmentVariable.init
    )
    var environment: [EnvironmentVariable] = []

    @Option("Asking again with the same id submits once.", "id", Parse.name)
    var requestID: Name?

    @Option(
        "With --sign-key: how long it may wait for its start at most (default: 1d).",
        "duration",
        Parse.positiveDuration
    )
    var signValidFor: Duration?

    @Option("Queued means on this many replicas too, such as replicas:1.", "replicas:n", Durability.init)
    var durability: Durability?

    @OptionGroup var limits: LimitOptions
    @OptionGroup var handler: HandlerOptions

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after '--'.")
    var command: [String] = []

    func validate() throws {
        if handler.name != nil {
            if !command.isEmpty {
                throw ValidationError(
                    "A run has a command or a handler, not both: leave out --handler, or what follows '--'."
                )
            }
            if cwd != nil || !environment.isEmpty {
                throw ValidationError(
                    "--cwd and --env are for commands: a handler runs inside of the worker; put what it needs into --input."
                )
            }
            if let given = limits.firstForCommands {
                throw ValidationError("\(given): for commands only, a handler runs inside of the worker's own process.")
            }
            return
        }
        guard let word = command.first else {
            throw ValidationError(
                "The command is missing: write it after '--', as in '-- make all', or name a --handler."
            )
        }
        if word.isEmpty { throw ValidationError("The command's name is empty.") }
    }

    /// What is asked to run, with the command's bytes as they were given.
    func submission(command: [[UInt8]]) throws(CommandFailure) -> Submission {
        let queue = queue ?? JobName.defaultQueue
        var submission: Submission
        if let name = handler.name {
            let job = id ?? JobName.generated(for: Array(name.description.utf8))
            submission = Submission(job: job, queue: queue, handler: name, input: try handler.readInput())
        } else {
            submission = Submission(job: id ?? JobName.generated(for: command[0]), queue: queue, command: command)
            submission.directory = try directory()
        }
        if let requestID { submission.run = RunID(rawValue: requestID.description) }
        submission.groups = group
        for variable in environment { submission.environment[variable.name] = Array(variable.value.utf8) }
        submission.gracePeriod = grace
        submission.timeout = timeout
        submission.retries = retries ?? 0
        submission.chargesPausedTime = limits.chargePaused
        submission.limits = limits.limits
        submission.hooks = limits.hooks
        submission.signatureLifetime = signValidFor
        submission.submittedBy = Requester.ofProcess
        return submission
    }

    private func directory() throws(CommandFailure) -> String {
        if let cwd, cwd.hasPrefix("/") { return cwd }
        guard let pointer = getcwd(nil, 0) else {
            throw CommandFailure(
                .failed,
                "the current directory cannot be read: \(String(cString: strerror(errno)))",
                hint: "pass --cwd DIR"
            )
        }
        defer { free(pointer) }
        guard let current = String(validatingCString: pointer) else {
            throw CommandFailure(.failed, "the current directory's name is not UTF-8 text", hint: "pass --cwd DIR")
        }
        return cwd.map { $0.isEmpty ? current : "\(current)/\($0)" } ?? current
    }
}

/// A variable for the job, written `NAME=VALUE`.
struct EnvironmentVariable: Equatable {
    let name: String
    let value: String

    init(_ text: String) throws {
        guard let equals = text.firstIndex(of: "=") else {
            throw ValidationError("write NAME=VALUE")
        }
        name = String(text[..<equals])
        value = String(text[text.index(after: equals)...])
        let isName =
            !name.isEmpty && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(name.utf8.first!)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
        guard isName else {
            throw ValidationError("the name before '=' must have letters, digits and _ only, and no digit first")
        }
    }
}

/// Names that the command makes itself.
enum JobName {
    static let defaultQueue = name("default")

    /// The command's own name and six random characters: `find-3k2f9a`.
    static func generated(for program: [UInt8]) -> Name {
        let base = program.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        var allowed = base.filter { byte in
            (try? Name(String(decoding: [UInt8(ascii: "x"), byte], as: UTF8.self))) != nil
        }
        allowed = Array(allowed.drop { byte in (try? Name(String(decoding: [byte], as: UTF8.self))) == nil }.prefix(40))
        let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        let suffix = (0..<6).map { _ in alphabet.randomElement()! }
        let stem = allowed.isEmpty ? Array("job".utf8) : allowed
        return name(String(decoding: stem + [UInt8(ascii: "-")] + suffix, as: UTF8.self))
    }

    /// For texts that are names by their making.
    private static func name(_ text: String) -> Name {
        do { return try Name(text) } catch { preconditionFailure("\(error)") }
    }
}

/// Who asks: `user@host`.
enum Requester {
    static var ofProcess: String {
        let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid \(geteuid())"
        let host = LocalHost.name
        return host.isEmpty ? user : "\(user)@\(host)"
    }
}
