import InterruptCore

extension Submission {
    /// The fields of the run's record that every run has, in the order of the script's arguments.
    var fields: [(name: String, value: [UInt8])] {
        let (command, handler, input): ([UInt8], String, String) =
            switch work {
            case .command(let words): (Array(words.joined(separator: [0])), "", "")
            case .handler(let name, let text): ([], name.description, text)
            }
        let texts = (
            groups: groups.map(\.description).joined(separator: " "),
            grace: gracePeriod.map { "\($0.milliseconds)" } ?? "",
            timeout: timeout.map { "\($0.milliseconds)" } ?? ""
        )
        return [
            ("job", Array(job.description.utf8)), ("run", Array(run.rawValue.utf8)),
            ("queue", Array(queue.description.utf8)), ("groups", Array(texts.groups.utf8)),
            ("submitted_by", Array((submittedBy ?? "").utf8)), ("command", command),
            ("cwd", Array((directory ?? "").utf8)), ("grace_ms", Array(texts.grace.utf8)),
            ("timeout_ms", Array(texts.timeout.utf8)), ("handler", Array(handler.utf8)), ("input", Array(input.utf8)),
        ]
    }

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
