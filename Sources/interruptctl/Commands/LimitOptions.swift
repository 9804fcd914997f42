import ArgumentParser
import InterruptCore

/// How much a command may use, and what is done beside it.
struct LimitOptions: ParsableArguments {
    @Option(
        "Interrupts the run when it and what it has started use more memory, such as 512M or 2G.",
        "size",
        Parse.size
    )
    var maxMemory: Int64?

    @Option(
        name: .customLong("max-cpu"),
        "The same for CPU time, of all processors together.",
        "duration",
        Parse.positiveDuration
    )
    var maxCPU: Duration?

    @Option("The same for processes at a time.", "number", Parse.count)
    var maxProcesses: Int?

    @Option("The same for what is written.", "size", Parse.size)
    var maxOutput: Int64?

    @Flag(help: "Time for which the run is paused counts towards --timeout.")
    var chargePaused = false

    @Option("A command for /bin/sh, run when the run is interrupted.", "command", Parse.hook)
    var onInterrupt: String?

    @Option("A command for /bin/sh, run when the run has ended.", "command", Parse.hook)
    var onEnd: String?

    @Option("How long each of the two may take (default: 30s).", "duration", Parse.positiveDuration)
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
