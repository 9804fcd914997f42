import ArgumentParser
import InterruptCore

/// How much a command may use, and what is done beside it.
struct LimitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Interrupts the run when it and what it has started use more memory, such as 512M or 2G.",
            valueName: "size"
        ),
        transform: Parse.size
    )
    var maxMemory: Int64?

    @Option(
        name: .customLong("max-cpu"),
        help: ArgumentHelp("The same for CPU time, of all processors together.", valueName: "duration"),
        transform: Parse.positiveDuration
    )
    var maxCPU: Duration?

    @Option(help: ArgumentHelp("The same for processes at a time.", valueName: "number"), transform: Parse.count)
    var maxProcesses: Int?

    @Option(help: ArgumentHelp("The same for what is written.", valueName: "size"), transform: Parse.size)
    var maxOutput: Int64?

    @Flag(help: "Time for which the run is paused counts towards --timeout.")
    var chargePaused = false

    @Option(
        help: ArgumentHelp("A command for /bin/sh, run when the run is interrupted.", valueName: "command"),
        transform: Parse.hook
    )
    var onInterrupt: String?

    @Option(
        help: ArgumentHelp("A command for /bin/sh, run when the run has ended.", valueName: "command"),
        transform: Parse.hook
    )
    var onEnd: String?

    @Option(
        help: ArgumentHelp("How long each of the two may take (default: 30s).", valueName: "duration"),
        transform: Parse.positiveDuration
    )
    var hookLimit: Duration?

    var limits: RunLimits {
        RunLimits(memory: maxMemory, cpuTime: maxCPU, processes: maxProcesses, output: maxOutput)
    }

    var hooks: RunHooks {
        RunHooks(onInterrupt: onInterrupt, onEnd: onEnd, limit: hookLimit ?? RunHooks.defaultLimit)
    }

    func validate() throws {
        if hookLimit != nil, hooks.isEmpty {
            throw ValidationError("--hook-limit is for a hook: give --on-interrupt or --on-end with it.")
        }
    }

    /// What is given although only a command can have it.
    var firstForCommands: String? {
        if limits != RunLimits() { return "--max-memory, --max-cpu, --max-processes and --max-output" }
        if chargePaused { return "--charge-paused" }
        return hooks.isEmpty ? nil : "--on-interrupt and --on-end"
    }
}

extension Parse {
    /// A number of bytes with a unit: `512M`, `2G`, `64K`, or none for bytes. A unit is a power of 1,024.
    static func size(_ text: String) throws -> Int64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let factors: [String: Int64] = ["": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        guard let number = Int64(digits), let factor = factors[text.dropFirst(digits.count).uppercased()] else {
            throw ValidationError("write a whole number of bytes, or one with K, M, G or T, such as 512M")
        }
        let (size, isTooLarge) = number.multipliedReportingOverflow(by: factor)
        guard size > 0, !isTooLarge, size <= 1 << 50 else { throw ValidationError("it must be from 1 to 1024T") }
        return size
    }

    /// A number of processes.
    static func count(_ text: String) throws -> Int {
        guard let count = Int(text), 1...4_194_304 ~= count else {
            throw ValidationError("write a whole number from 1 to 4194304")
        }
        return count
    }

    /// A text for a shell.
    static func hook(_ text: String) throws -> String {
        if text.isEmpty { throw ValidationError("the command is empty") }
        guard text.utf8.count <= RunHooks.maximumSize else {
            throw ValidationError("it has \(text.utf8.count) bytes, at most \(RunHooks.maximumSize) are taken")
        }
        return text
    }
}

/// A number of bytes for people, as it may be written on the command line: `512M`.
enum SizeText {
    static func of(_ bytes: Int64) -> String {
        for (unit, factor) in [("T", Int64(1) << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)]
        where bytes.isMultiple(of: factor) && bytes > 0 {
            return "\(bytes / factor)\(unit)"
        }
        return "\(bytes)"
    }
}
