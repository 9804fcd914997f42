import InterruptCore

extension Submission {
    /// The fields of the run's record that only few runs have; absent, what is not asked for.
    var options: [(name: String, value: String)] {
        var options: [(String, String)] = []
        func add(_ name: String, _ value: String?) { if let value { options.append((name, value)) } }
        add("retries", retries > 0 ? "\(retries)" : nil)
        add("charge_paused", chargesPausedTime ? "1" : nil)
        add("max_memory_bytes", limits.memory.map { "\($0)" })
        add("max_cpu_ms", limits.cpuTime.map { "\($0.milliseconds)" })
        add("max_processes", limits.processes.map { "\($0)" })
        add("max_output_bytes", limits.output.map { "\($0)" })
        add("on_interrupt", hooks.onInterrupt?.shellText)
        add("on_end", hooks.onEnd?.shellText)
        add("hook_limit_ms", hooks.isEmpty ? nil : "\(hooks.limit.milliseconds)")
        return options
    }
}
